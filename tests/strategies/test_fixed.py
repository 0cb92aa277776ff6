"""The architecture of a file: a saved model's, or a plain object's; what is none of the space is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nas.errors import StrategyError
from nas.searchspaces import Limit
from nas.strategies.fixed import LARGEST, Fixed
from nas.testing.toy import PLAIN, Toy


@pytest.mark.parametrize("saved", [True, False])
def test_the_architecture_of_a_file_is_the_trial(tmp_path: Path, saved: bool) -> None:
    toy = Toy(PLAIN)
    wanted = toy.space.sample(np.random.default_rng(3))
    file = tmp_path / "model.json"
    file.write_text(json.dumps({"format": 1, "about": {"architecture": dict(wanted)}} if saved else dict(wanted)))
    strategy = Fixed(architecture=str(file))
    strategy.check(toy.problem(trials=1))
    (trial,) = strategy.search(toy.search(trials=1))
    assert trial.architecture == wanted


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file"),
        ("{", "Expecting property name"),
        ("[1, 2]", "."),
        ('{"heads.0": 3}', "."),
        ('{"about": 5}', "."),
        ('{"about": {"architecture": 7}}', "."),
        ("[" * 100_000, "."),
    ],
)
def test_what_is_no_architecture_of_the_space_is_refused(tmp_path: Path, text: str | None, reason: str) -> None:
    file = tmp_path / "model.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(StrategyError, match=f"no architecture of this space in .*{reason}") as refusal:
        Fixed(architecture=str(file)).check(Toy(PLAIN).problem(trials=1))
    assert "\n" not in str(refusal.value)


def test_limits_hold_and_files_are_bounded(tmp_path: Path) -> None:
    toy = Toy(PLAIN)
    file = tmp_path / "model.json"
    file.write_text(json.dumps(dict(toy.space.largest)))
    with pytest.raises(StrategyError, match="breaks the limit"):
        Fixed(architecture=str(file)).check(toy.problem(trials=1, limit=Limit(toy, macs="60%")))
    with file.open("wb") as handle:
        handle.truncate(LARGEST + 1)
    with pytest.raises(StrategyError, match="more than 16 MiB"):
        Fixed(architecture=str(file)).check(toy.problem(trials=1))
