"""Weights and architecture parameters in one loop: rates of their own, accumulation, the same after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.importance.l1_gates import L1Gates, L1Step
from nas.testing.relaxed import Bench
from nas.training import Recipe, Runtime
from nas.training.objectives.relaxation import Relaxation, relax
from nas.training.optimiser import PACE, optimiser
from nas.training.workplace import Workplace

RECIPE = Recipe(epochs=3, lr=1e-3, batch=16, warmup=0, weight_decay=0.1)


def relaxation(bench: Bench) -> Relaxation:
    return Relaxation(bench.supernet, {axis: torch.ones(bench.supernet.table.frame.axes[axis])
                                       for axis in sorted(bench.supernet.space.axes)}, 7.0)  # fmt: skip


def trained(recipe: Recipe = RECIPE, runtime: Runtime | None = None) -> tuple[Relaxation, list[float]]:
    bench = Bench("vit")
    module = relaxation(bench)
    work = Workplace(bench.data, 0, runtime or Runtime(progress=False))
    history = relax(module, L1Step(L1Gates(), module), work, recipe, lambda _: {})
    return module, [row.loss for row in history]


def test_architecture_parameters_have_a_rate_of_their_own_and_no_decay() -> None:
    module = relaxation(Bench("vit"))
    groups = optimiser(module, RECIPE).param_groups
    own = set(map(id, module.values))
    for group in groups:
        inside = {id(parameter) in own for parameter in group["params"]}
        assert len(inside) == 1
        assert (group.get(PACE, 1.0), inside) in ((7.0, {True}), (1.0, {False}))
        if inside == {True}:
            assert group["weight_decay"] == 0
    assert sum(len(group["params"]) for group in groups) == len(list(module.parameters()))


def test_two_half_batches_are_one_batch() -> None:
    _, whole = trained(replace(RECIPE, batch=16))
    _, halves = trained(replace(RECIPE, batch=8, accumulate=2))
    assert halves == pytest.approx(whole, rel=1e-4)


def test_amp_changes_nothing_on_a_processor() -> None:
    assert trained(replace(RECIPE, amp=True))[1] == trained(replace(RECIPE, amp=False))[1]


def test_a_killed_training_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, losses = trained()

    def kill(_: object) -> None:
        raise KeyboardInterrupt

    file = tmp_path / "training.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trained(runtime=Runtime(progress=False, checkpoint=file, on_epoch=kill))
    again, found = trained(runtime=Runtime(progress=False, checkpoint=file))
    assert found == losses
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
