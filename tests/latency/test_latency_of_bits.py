"""Latency of spaces that choose bits: 8 may take less than 32, or more, and a table says which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from latency_tables import Counting
from studies_fakes import TINY

from nas import Architecture, Limit, SearchSpace, Supernet
from nas.latency import building, passes
from nas.latency.building import measured_table
from nas.latency.design import Signatures, at_levels
from nas.latency.devices.onnxruntime import OnnxRuntime
from nas.latency.passes import Passes
from nas.latency.table import LATENCY
from nas.studies.file.searched import space_of
from nas.studies.run.describe import describe_space
from nas.studies.run.results import RETRAIN
from nas.studies.study import Study
from nas.supernets import build
from nas.supernets.chosen_steps import chosen_steps
from nas.supernets.int8_weights import rounding
from nas.supernets.models.int8 import RoundedLinear
from nas.supernets.of_space import image_of

SPACE = """
model: vit_tiny_patch16_224
model_args: {img_size: 16, patch_size: 8, embed_dim: 32, depth: 3, num_heads: 4, num_classes: 3}
choices:
  heads: {size: [1, 2, 4]}
  mlp: {size: [32, 64, 128]}
  depth: {depth: [1, 3]}
  bits: {bits: [8, 32]}
"""
IMAGE = (3, 16, 16)


def supernet_of(text: str = SPACE) -> Supernet:
    space = SearchSpace.from_yaml(text)
    torch.manual_seed(0)
    return Supernet(build(space.model, space.model_args), space)


def with_bits(space: SearchSpace, bits: int) -> Architecture:
    """The largest architecture, all of its matrices with so many bits."""
    return Architecture({name: bits if name.startswith("bits") else value for name, value in space.largest.items()})


@pytest.mark.parametrize("narrow", [0.25, 3.0])
@pytest.mark.parametrize("in_steps", [True, False])
def test_a_table_says_whether_eight_bits_take_less_or_more(narrow: float, in_steps: bool) -> None:
    net = supernet_of()
    measured = measured_table(net, IMAGE, Counting(more=narrow - 1, in_steps=in_steps), check=12)
    for shown in (measured.prediction, measured.even):
        assert shown is not None
        np.testing.assert_allclose(shown.predicted, shown.timed, rtol=2e-3)
    table, space = measured.table, net.space
    narrowed, whole = table.milliseconds(space, [with_bits(space, bits) for bits in (8, 32)])
    assert narrowed < 0.7 * whole if narrow < 1 else narrowed > 1.5 * whole
    least, most = space.ends(table.additive(space))
    every = table.additive(space)(space.sample_table(np.random.default_rng(0), 500))
    assert least <= every.min() <= every.max() <= most
    of_largest = table.additive(space)(space.as_table(space.largest))[0]
    assert most > 1.5 * of_largest if narrow > 1 else most == of_largest == table.base


def test_what_a_space_takes_lies_between_what_any_architecture_takes() -> None:
    net = supernet_of()
    table = measured_table(net, IMAGE, Counting(more=2.0)).table
    cost = net.cost.beside({LATENCY: table.tabulated(net.space)})
    facts, plain = describe_space(net.space, cost), describe_space(net.space, net.cost)
    assert (facts.least[LATENCY], facts.greatest[LATENCY]) == net.space.ends(table.additive(net.space))
    assert facts.greatest[LATENCY] > cost.counts(net.space.largest)[LATENCY]
    assert facts.greatest["throughput"] < cost.counts(net.space.largest)["throughput"]
    assert {name: facts.least[name] for name in plain.least} == net.cost.counts(net.space.smallest)


def test_steps_of_other_bits_are_other_steps() -> None:
    """And both occur beside small and large sizes alike."""
    net = supernet_of()
    steps, known = chosen_steps(net), Signatures(net, torch.zeros(1, *IMAGE))
    of_bits = [known.of(with_bits(net.space, bits)) for bits in (8, 32)]
    positions = [k for k, name in enumerate(net.space) if name.startswith("bits")]
    deciding = [step for step in steps if set(positions) & set(step.choices)]
    assert len(deciding) >= 3
    for step in deciding:
        assert of_bits[0][step.reads] != of_bits[1][step.reads]
    rows = net.space.to_table(at_levels(steps, net.space, 80, seed=0))
    first = net.space.n_values.index(3)
    small, large = rows[:30, positions[0]], rows[-30:, positions[0]]
    assert rows[:30, first].mean() < rows[-30:, first].mean()
    assert 0.2 < small.mean() < 0.8
    assert 0.2 < large.mean() < 0.8


def test_work_in_int8_is_counted_by_itself() -> None:
    net = supernet_of()
    images = torch.zeros(2, *IMAGE)
    narrow, whole = (
        np.sum(Passes(net, Counting(), images).work(with_bits(net.space, bits)), axis=0) for bits in (8, 32)
    )
    macs = sum(net.cost.of("bit_operations", [with_bits(net.space, bits) for bits in (32, 8)]) * [1, -1]) / (1024 - 64)
    assert narrow[1] == 2 * 2 * macs
    assert narrow[0] + narrow[1] == whole[0]
    assert whole[1] == whole[3] == 0
    assert narrow[3] > 0
    subnet = net.extract(net.space.smallest)
    with rounding(subnet) as kept:
        subnet(images)
    assert len(kept) == sum(isinstance(layer, RoundedLinear) for layer in subnet.modules())
    before = list(kept)
    subnet(images)
    assert kept == before, "it counts only while it is asked to"


def test_draws_keep_to_a_limit_and_take_eight_bits_where_these_are_fast() -> None:
    net = supernet_of()
    shares = []
    for narrow in (0.25, 3.0):
        table = measured_table(net, IMAGE, Counting(more=narrow - 1)).table
        limit = Limit(net.cost.beside({LATENCY: table.tabulated(net.space)}), latency="40%")
        drawn = net.space.sample_table(np.random.default_rng(0), 300, limit)
        assert (table.additive(net.space)(drawn) <= 0.4 * table.base).all()
        best = limit.lattice.best([np.arange(length, dtype=np.float64) for length in net.space.n_values])
        assert limit.allows(net.space.from_table([best])[0])
        shares.append(np.mean([architecture["bits.0"] == 8 for architecture in net.space.from_table(drawn)]))
    assert shares[0] > shares[1] + 0.2


BITS = TINY.replace("heads: {size: [1, 2], per: block}", "bits: {bits: [8, 32], per: model}").replace(
    "mlp: {size: {from: 8, to: 64, step: 8}, per: block}", "mlp: {size: [16, 64], per: model}"
)


def test_a_study_keeps_to_milliseconds_of_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four architectures, which are all timed. How noisy this machine is, is no matter here."""
    pytest.importorskip("onnxruntime", reason="ONNX is an extra: pip install 'nas[onnx]'")
    monkeypatch.setattr(passes, "MODELS", 1)
    monkeypatch.setattr(building, "noise_of", lambda timed: 0.0)
    study_file, to = tmp_path / "bits.yaml", tmp_path / "table.json"
    study_file.write_text(BITS)
    space = space_of(study_file)
    net = Supernet(build(space.model, space.model_args), space)
    table = measured_table(net, image_of(space), OnnxRuntime(threads=1), seconds=1.0).table
    table.write(to)
    least, most = space.ends(table.additive(space))
    limit = (least + most) // 2
    changes = [
        *(f"latency.table={to}", f"limit={{latency: {limit} ns}}", "objectives={accuracy: max, latency: min}"),
        *("base.epochs=1", "supernet.epochs=1", "retrain.epochs=0", "strategy.trials=4"),
    ]
    study = Study.from_yaml(study_file, overrides=changes, folder=tmp_path / "run")
    study.run(quiet=True)
    trials = study.trials()
    assert least < limit < most
    assert trials["feasible"].all()
    assert (trials["latency"] <= limit).all()
    assert {"evolution", "uniform"} == set(trials["strategy"])
    assert study.record.result(RETRAIN).foreseen_by["latency"]["winner"].timed > 0
