"""Patch Slimming's sizing: nested tokens, errors within the tolerance, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.errors import StrategyError
from nas.searchspaces import Limit
from nas.strategies.tolerance.strategy import Tolerance
from nas.strategies.tolerance.tuning import Tuning
from nas.testing.relaxed import Bench
from nas.training import Runtime

IMPACT = {"use": "patch_impact", "images": 32}


def slim(**options: Any) -> tuple[Bench, Any]:
    bench = Bench("tokens")
    bench.search.problem = replace(bench.problem, limit=options.pop("limit", None))
    given = {"grow": 2, "training": Tuning(epochs=1, batch=16), "importance": IMPACT} | options
    (trial,) = bench.run(Tolerance(**given))
    return bench, trial


def test_tokens_nest_and_errors_are_within_the_tolerance() -> None:
    _, trial = slim(tolerance=0.05)
    positions = [set(kept) for kept in trial.notes["positions"].values()]
    assert all(later <= earlier for earlier, later in pairwise(positions))
    assert positions[-1] == {0}, "the last block computes the class token alone"
    assert set(trial.notes["errors"]) == {"0", "1"}
    assert all(
        error <= 0.05 or len(kept) == 17
        for error, kept in zip(trial.notes["errors"].values(), positions[:-1], strict=True)
    )
    sizes = [trial.architecture[f"queries.{block}"] for block in range(3)]
    assert sizes == [len(kept) for kept in positions]


def test_a_killed_search_ends_the_same(tmp_path: Path) -> None:
    """Killed after its first block, it goes on with the second, and ends with the same tokens and weights."""
    options = Tolerance(grow=2, tolerance=1e-4, training=Tuning(epochs=1, batch=16), importance=IMPACT)
    whole = Bench("tokens")
    (expected,) = whole.run(options)
    file = tmp_path / "slimming.safetensors"
    blocks: list[object] = []

    def kill(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Bench("tokens", runtime=Runtime(progress=False, checkpoint=file, on_epoch=kill)).run(options)
    again = Bench("tokens", runtime=Runtime(progress=False, checkpoint=file, on_epoch=blocks.append))
    (found,) = again.run(options)
    assert len(blocks) == 1, "of two blocks, one was done"
    assert (found.architecture, found.notes, found.metrics) == (expected.architecture, expected.notes, expected.metrics)
    weights = whole.adopted.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in again.adopted.state_dict().items())


def test_a_looser_tolerance_keeps_fewer_tokens() -> None:
    costs = [slim(tolerance=tolerance)[1].costs["macs"] for tolerance in (1e-4, 0.5)]
    assert costs[1] < costs[0]


def test_a_limit_raises_the_tolerance_until_it_is_met() -> None:
    bench = Bench("tokens")
    limit = Limit(bench.supernet.cost, macs="20%")
    _, trial = slim(tolerance=1e-4, limit=limit)
    assert limit.allows(trial.architecture)
    assert trial.notes["tolerance"] > 1e-4


def test_only_decided_blocks_are_tuned() -> None:
    """The last block, and what lies outside the blocks, keep the weights of the original model."""
    bench, _ = slim(tolerance=0.05)
    before, after = bench.supernet.model.state_dict(), bench.adopted.model.state_dict()
    changed = {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])}
    assert changed <= {"0", "1"}
    assert changed


def test_tuning_a_block_lowers_its_error() -> None:
    """The same tokens, with and without fine-tuning on cached inputs."""
    errors = []
    for epochs in (0, 8):
        training = Tuning(epochs=epochs, batch=16, lr=1e-3)
        errors.append(slim(tolerance=1e9, grow=1, training=training)[1].notes["errors"]["1"])
    assert errors[1] < errors[0]


@pytest.mark.parametrize("error", ["relative", "mse", "sum"])
def test_errors_are_of_the_asked_kind(error: str) -> None:
    _, trial = slim(tolerance=1e9, error=error, training=Tuning(epochs=0, batch=16))
    assert trial.notes["errors"]["1"] > 0


def test_what_it_cannot_slim_is_refused() -> None:
    with pytest.raises(StrategyError, match=r"no queries per block.*windowed models, such as Swin, have none"):
        Tolerance().check(Bench("swin").problem)
    with pytest.raises(StrategyError, match="found importance 'magnitude'; allowed: patch_impact"):
        Tolerance(importance="magnitude").check(Bench("tokens").problem)
    bench = Bench("tokens")
    free = replace(bench.problem, limit=None)
    with pytest.raises(StrategyError, match=r"give a tolerance, such as 0.02, or the study a limit"):
        Tolerance().check(free)
    tight = replace(bench.problem, limit=Limit(bench.supernet.cost, macs="13%"))
    with pytest.raises(StrategyError, match="the fewest tokens everywhere do not meet the limit"):
        Tolerance().check(tight)


def test_a_block_is_tuned_for_epochs_of_the_training_images_as_far_as_the_steps_go() -> None:
    """256 calibration images in batches of 64 are four steps a pass."""
    assert Tuning().passes(256, 1221) == 15  # of 60 steps, three epochs of 1,221 images; not 12, three of 256
    assert Tuning().passes(256, 256) == 3
    assert Tuning().passes(256, 1_281_167) == 125  # 500 steps
    assert Tuning(steps=50).passes(256, 1_281_167) == 13
    assert Tuning(accumulate=2).passes(256, 1221) == 15
    assert Tuning(epochs=0).passes(256, 1221) == 0
