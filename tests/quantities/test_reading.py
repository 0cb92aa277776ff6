"""How values are written, and that one is not taken for another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from nas import quantities
from nas.documents.document import attempt, read
from nas.errors import QuantityError
from nas.quantities import Amount, Quantity
from nas.studies.file.config import Bounds


@dataclass(frozen=True, kw_only=True)
class Latency(Quantity):
    name: str = "latency"
    title: str = "latency"
    origin: str = "timed"
    unit: str = "ms"


@pytest.mark.parametrize(
    ("name", "value", "amount"),
    [
        ("macs", 1.2e9, Amount(1.2e9)),
        ("macs", np.int64(5), Amount(5.0)),
        ("macs", "1.2G", Amount(1.2e9)),
        ("macs", " 1.2 G ", Amount(1.2e9)),
        ("macs", "1.2 GMACs", Amount(1.2e9)),
        ("flops", "1.2 GFLOPs", Amount(1.2e9)),
        ("flops", "500 M FLOPs", Amount(5e8)),
        ("flops", "500 FLOPs", Amount(500.0)),
        ("params", "12M", Amount(1.2e7)),
        ("params", ".5M", Amount(5e5)),
        ("params", "62.5 %", Amount(0.625, relative=True)),
    ],
)
def test_values_of_counts(name: str, value: object, amount: Amount) -> None:
    assert quantities.find(name).read(value) == amount


@pytest.mark.parametrize(
    ("value", "amount"), [(3, 3.0), ("3 ms", 3.0), ("250us", 0.25), ("0.01 s", 10.0), ("50%", 0.5)]
)
def test_values_in_a_unit(value: object, amount: float) -> None:
    assert Latency().read(value).value == pytest.approx(amount)


@pytest.mark.parametrize("value", ["1.2 GFLOPs", "50", "3 ms", "G", "1.2 g", "-5%", "1,2 G", "9" * 400 + "G", 10**400])
def test_what_is_no_amount_of_macs(value: object) -> None:
    with pytest.raises(QuantityError, match=r"macs: found .*; allowed: a number, also with k, M, G or T, or per cent"):
        quantities.find("macs").read(value)


def test_per_cent_of_what_is_itself_per_cent_is_absolute() -> None:
    accuracy = Quantity(name="accuracy", title="accuracy", origin="measured", better="more", shown="percent")
    assert accuracy.read("90%") == Amount(0.9)
    assert accuracy.read(accuracy.show(0.9644)) == Amount(pytest.approx(0.9644))


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("{macs: 1.2G}", {"macs": "1.2G"}),
        ("{flops: 1.2 GFLOPs, params: [null, 12M]}", {"flops": "1.2 GFLOPs", "params": (None, "12M")}),
        ("{macs: 0.9e9}", {"macs": 0.9e9}),
        ("{params: 50%}", {"params": "50%"}),
    ],
)
def test_bounds_of_a_study_file(text: str, bounds: object) -> None:
    assert attempt(read(f"limit: {text}\n"), Bounds, ("limit",)) == (bounds, [])


def test_of_the_base_model() -> None:
    assert Amount(0.5, relative=True).of(300) == 150
    assert Amount(0.5).of(300) == 0.5


def test_shown_with_the_digits_that_are_asked_for() -> None:
    macs = quantities.find("macs")
    assert (macs.show(1.2e9), macs.show(1.2e9, 4), macs.show(1.2543e9, 4), macs.show(12, 4)) == (
        "1.20 G",
        "1.2 G",
        "1.254 G",
        "12",
    )


def test_a_share_of_inputs_has_a_standard_error_and_others_tell_none() -> None:
    share = Quantity(name="accuracy", title="accuracy", origin="measured", shown="percent", over_inputs="share")
    assert share.standard_error(0.5, 100) == pytest.approx(0.05)
    assert share.standard_error(1.0, 100) == 0
    assert Quantity(name="loss", title="loss", origin="measured").standard_error(0.5, 100) is None
