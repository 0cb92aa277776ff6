"""The rules for training a supernet: which sub-networks run, what each learns from, and that all of them learn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor
from training_fakes import WIDTHS, FakeSpace, FakeSupernet, context, first_batch, make_data, same_weights

from nas import seeds
from nas.documents.markers import Plugged
from nas.documents.plugged import plugin_of
from nas.errors import ConfigError, TrainingError
from nas.evaluation import Evaluator
from nas.searchspaces import SearchSpace
from nas.searchspaces.architecture import Architecture
from nas.tasks import Batch
from nas.tasks.classification import Classification
from nas.training import FitCall, Recipe, Runtime, StepContext, adjoined_loss, fit
from nas.training.projection import surgery
from nas.training.rules import SupernetRule, find, names
from nas.training.rules.adjoined import Adjoined
from nas.training.rules.inplace import InPlace
from nas.training.rules.sandwich import Sandwich
from nas.training.rules.uniform import UniformRule

TASK = Classification()
CRITERION = TASK.criterion()
SPACE = SearchSpace.from_yaml("""
model: vit_tiny_patch16_224
model_args: {img_size: 4, patch_size: 2, in_chans: 1, num_classes: 3, embed_dim: 16, depth: 2, num_heads: 4}
choices: {heads: {size: [1, 2, 3, 4], per: model}, mlp: {size: [32, 64], per: model}}
""")
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
    drawn = [step.subnets(context(net, step=s, epoch=e)).random for e in range(2) for s in range(4)]
    assert space.asked == [(8, "a limit")] * 2
    assert all(len(found) == 2 for found in drawn)
    assert len({a.digest for found in drawn for a in found}) == len(WIDTHS)
    assert drawn[:4] != drawn[4:]
    resumed = UniformRule(random=2).step(cast(Any, FakeSpace()))  # asked for the last step only, as after a restart
    assert resumed.subnets(context(net, step=3, epoch=1)).random == drawn[-1]


@pytest.mark.parametrize(
    "rule",
    [UniformRule(random=2), Sandwich(), Adjoined(small_ce=True), InPlace(), Sandwich(gradients="projected")],
    ids=lambda r: type(r).__name__,
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


def test_in_place_distillation_is_the_sandwich_without_its_smallest() -> None:
    net = FakeSupernet()
    found = parts(InPlace(random=3, targets=0.25), net, context(net))
    batch = first_batch()
    teacher, *students = (net.subnet(a)(batch.inputs) for a in net.ran)
    assert net.ran[0] == LARGE
    lessons = [0.75 * TASK.divergence(teacher, one) + 0.25 * CRITERION(one, batch.targets) for one in students]
    torch.testing.assert_close(torch.stack(found), torch.stack([CRITERION(teacher, batch.targets), *lessons]))
    assert len(found) == 4


def test_in_the_sandwich_the_others_may_learn_from_the_targets() -> None:
    net, batch = FakeSupernet(), first_batch()
    found = parts(Sandwich(random=1, targets=1.0), net, context(net))
    expected = [CRITERION(net.subnet(a)(batch.inputs), batch.targets) for a in net.ran]
    torch.testing.assert_close(torch.stack(found), torch.stack(expected))


@pytest.mark.parametrize("name", ["uniform", "sandwich", "adjoined", "inplace"])
def test_a_rule_says_how_many_parts_its_loss_has(name: str) -> None:
    net, rule = FakeSupernet(), find(name)()
    assert len(parts(rule, net, context(net))) == rule.parts


def test_ranges_open_value_by_value_from_the_two_largest_to_all() -> None:
    rule = Sandwich(random=20, opening=0.6)
    step = rule.step(SPACE)

    def open_at(progress: float) -> list[list[float]]:
        subnets = step.subnets(context(FakeSupernet(), progress=progress))
        assert subnets.largest == SPACE.largest
        drawn = [subnets.smallest, *subnets.random]
        return [sorted({one[name] for one in drawn}) for name in SPACE]

    assert open_at(0.0) == [[3, 4], [32, 64]]
    assert open_at(0.2) == [[2, 3, 4], [32, 64]]
    assert open_at(0.6) == [[1, 2, 3, 4], [32, 64]]
    assert step.subnets(context(FakeSupernet(), progress=0.0)).smallest != SPACE.smallest
    everything = Sandwich(random=20).step(SPACE).subnets(context(FakeSupernet(), progress=0.0))
    assert step.subnets(context(FakeSupernet(), progress=0.6)) == everything


def test_projected_gradients_are_those_of_the_surgery(monkeypatch: pytest.MonkeyPatch) -> None:
    net, rule = FakeSupernet(), Sandwich(random=2, gradients="projected")
    (loss,) = parts(rule, net, context(net))
    loss.backward()  # type: ignore[no-untyped-call]
    plain = FakeSupernet()
    own, values = [], []
    for part in parts(Sandwich(random=2), plain, context(plain)):
        plain.zero_grad(set_to_none=True)
        part.backward()  # type: ignore[no-untyped-call]
        own.append([parameter.grad.clone() for parameter in plain.parameters() if parameter.grad is not None])
        values.append(float(part.detach()))
    vectors = [torch.cat([gradient.flatten() for gradient in gradients]) for gradients in own]
    seed = seeds.derive(0, seeds.CONFLICTS, 0, 0)
    expected = torch.stack(surgery(vectors, np.random.default_rng(seed))).sum(0)
    found = torch.cat([parameter.grad.flatten() for parameter in net.parameters() if parameter.grad is not None])
    torch.testing.assert_close(found, expected)
    assert float(loss.detach()) == pytest.approx(sum(values))
    assert float((found - torch.stack(vectors).sum(0)).abs().max()) > 0.01, "nothing was in conflict: change the seed"


def test_a_rule_whose_loss_has_one_part_has_no_conflicts() -> None:
    for options in ({"use": "adjoined"}, {"use": "uniform"}):
        with pytest.raises(ConfigError, match="projected only where a step's loss has several parts"):
            plugin_of({**options, "gradients": "projected"}, Plugged("rule", names, find))
    assert UniformRule(random=2, gradients="projected").parts == 2
