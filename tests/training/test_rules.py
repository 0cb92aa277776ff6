"""The rules for training a supernet: which sub-networks run, what each learns from, and that all of them learn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor
from training_fakes import WIDTHS, FakeSpace, FakeSupernet, context, first_batch, make_data, same_weights

from nas.errors import TrainingError
from nas.evaluation import Evaluator
from nas.searchspaces.architecture import Architecture
from nas.tasks import Batch
from nas.tasks.classification import Classification
from nas.training import FitCall, Recipe, Runtime, StepContext, adjoined_loss, fit
from nas.training.rules import SupernetRule, find, names
from nas.training.rules.adjoined import Adjoined
from nas.training.rules.sandwich import Sandwich
from nas.training.rules.uniform import UniformRule

TASK = Classification()
CRITERION = TASK.criterion()
LARGE, SMALL = Architecture({"width": 8}), Architecture({"width": 2})


def parts(rule: SupernetRule, net: FakeSupernet, where: StepContext) -> list[Tensor]:
    return list(rule.step(cast(Any, FakeSpace()))(first_batch(), where))


def test_every_rule_is_found_and_a_wrong_name_is_helped() -> None:
    assert {"adjoined", "sandwich", "uniform"} <= set(names())
    assert not any(name.startswith("_") for name in names())
    for name in names():
        assert issubclass(find(name), SupernetRule)
    with pytest.raises(TrainingError, match="did you mean 'sandwich'"):
        find("sandwhich")


def test_options_are_checked() -> None:
    assert TypeAdapter(find("sandwich")).validate_python({"random": 5}) == Sandwich(5)
    with pytest.raises(ValidationError):
        TypeAdapter(find("uniform")).validate_python({"random": 0})


def test_uniform_learns_from_the_targets() -> None:
    net = FakeSupernet()
    found = parts(UniformRule(random=3), net, context(net))
    batch = first_batch()
    expected = [CRITERION(net.subnet(a)(batch.inputs), batch.targets) / 3 for a in net.ran]
    torch.testing.assert_close(torch.stack(found), torch.stack(expected))
    assert len(found) == 3


def test_sandwich_runs_largest_smallest_random_and_the_largest_teaches() -> None:
    net = FakeSupernet()
    found = parts(Sandwich(random=2), net, context(net))
    assert net.ran[:2] == [LARGE, SMALL]
    assert len(net.ran) == len(found) == 4
    batch = first_batch()
    teacher, *students = (net.subnet(a)(batch.inputs) for a in net.ran)
    expected = [CRITERION(teacher, batch.targets), *(TASK.divergence(teacher, student) for student in students)]
    torch.testing.assert_close(torch.stack(found), torch.stack(expected))


def test_the_teacher_of_the_sandwich_is_held_fixed() -> None:
    net = FakeSupernet()
    smallest_part = parts(Sandwich(random=0), net, context(net))[1]
    smallest_part.backward()  # type: ignore[no-untyped-call]
    gradient = net.model.inner.weight.grad
    assert gradient is not None
    assert torch.all(gradient[2:] == 0)  # units that only the largest has
    assert torch.any(gradient[:2] != 0)


@pytest.mark.parametrize("options", [{}, {"detach": True}, {"small_ce": True}])
def test_adjoined_rule_is_the_adjoined_loss(options: dict[str, bool]) -> None:
    net = FakeSupernet()
    (found,) = parts(Adjoined(**options), net, context(net))
    batch, where = first_batch(), context(net)
    assert net.ran[0] == LARGE
    large, small = (net.subnet(a)(batch.inputs) for a in net.ran)
    torch.testing.assert_close(found, adjoined_loss(large, small, batch.targets, where, **options))
    net.zero_grad()
    found.backward()  # type: ignore[no-untyped-call]
    direct = FakeSupernet()
    large, small = (direct.subnet(a)(batch.inputs) for a in net.ran)
    adjoined_loss(large, small, batch.targets, where, **options).backward()  # type: ignore[no-untyped-call]
    for ours, theirs in zip(net.parameters(), direct.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_architectures_follow_from_seed_epoch_and_step_and_are_drawn_once_per_epoch() -> None:
    net, space = FakeSupernet(), FakeSpace()
    step = UniformRule(random=2).step(cast(Any, space), limit=cast(Any, "a limit"))
    drawn = [step.architectures(context(net, step=s, epoch=e)) for e in range(2) for s in range(4)]
    assert space.asked == [(8, "a limit")] * 2
    assert all(len(found) == 2 for found in drawn)
    assert len({a.digest for found in drawn for a in found}) == len(WIDTHS)
    assert drawn[:4] != drawn[4:]
    resumed = UniformRule(random=2).step(cast(Any, FakeSpace()))  # asked for the last step only, as after a restart
    assert resumed.architectures(context(net, step=3, epoch=1)) == drawn[-1]


@pytest.mark.parametrize(
    "rule", [UniformRule(random=2), Sandwich(), Adjoined(small_ce=True)], ids=lambda r: type(r).__name__
)
def test_every_sub_network_learns_and_the_seed_decides(rule: SupernetRule) -> None:
    data, recipe = make_data(), Recipe(epochs=10, lr=2e-2, batch=8, warmup=1)
    nets = [FakeSupernet(), FakeSupernet()]
    before = Evaluator(cast(Any, nets[0]), data.test, TASK)(SMALL).metrics["loss"]
    for net in nets:
        fit(FitCall(net, rule.step(cast(Any, FakeSpace())), data, recipe, 0), Runtime(progress=False))
    assert same_weights(*nets)
    measure = Evaluator(cast(Any, nets[0]), data.test, TASK)
    assert measure(LARGE).metrics["accuracy"] == 1.0
    assert measure(SMALL).metrics["loss"] < 0.8 * before


def test_parts_are_differentiated_one_at_a_time() -> None:
    """The second sub-network must not run before the first one's gradients are there: that is what saves the memory."""
    net = FakeSupernet()
    filled: list[bool] = []

    def watched(batch: Batch, where: StepContext) -> Iterator[Tensor]:
        for part in Sandwich(random=1).step(cast(Any, FakeSpace()))(batch, where):
            filled.append(net.model.head.weight.grad is not None)
            yield part

    fit(FitCall(net, watched, make_data(8), Recipe(epochs=1, batch=8), 0), Runtime(progress=False))
    assert filled == [False, True, True]
