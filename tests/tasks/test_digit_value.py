"""A task of a user's package is one file: data, training, evaluation, rules and searches ask it, and nothing else names
it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from digit_value import DigitValue
from torch import nn
from torch.nn.functional import mse_loss

from nas import tasks
from nas.data import Data, DataSpec, load_data
from nas.errors import TrainingError
from nas.evaluation import Evaluator, evaluate
from nas.importance.taylor import Taylor
from nas.search import Problem
from nas.searchspaces import SearchSpace
from nas.strategies.dan import Dan, DanStep
from nas.supernets import Supernet, build
from nas.tasks import Facts
from nas.testing.tasks import TaskSuite
from nas.training import AdjoinedStep, DistilledStep, FitCall, PlainStep, Recipe, Runtime, Step, StepContext, fit, ramp
from nas.training.objectives.relaxation import Relaxation
from nas.training.rules import find
from nas.training.workplace import Workplace

TASK = DigitValue()
SPACE = """
model: vit_tiny_patch16_224
model_args: {img_size: 8, patch_size: 4, embed_dim: 16, depth: 2, num_heads: 2, class_token: false, global_pool: avg}
choices: {heads: {size: [1, 2]}, mlp: {size: [16, 64]}}
"""
RECIPE = Recipe(epochs=4, lr=1e-2, batch=32, warmup=1)
QUIET = Runtime(progress=False)


class TestDigitValue(TaskSuite):
    tried = (TASK,)


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data(DataSpec(name="digits", train_images=300), task=TASK, image_size=8, seed=0)


@pytest.fixture
def supernet() -> Supernet:
    space = SearchSpace.from_yaml(SPACE, model_args=TASK.model_args(Facts(channels=1, classes=10, image_size=8)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Supernet(build(space.model, space.model_args), space)


def context(module: nn.Module, progress: float = 0.8) -> StepContext:
    return StepContext(module, TASK, 0.0, 0, 0, 0, 10, progress)


def refreshed(module: nn.Module) -> None:
    module.supernet.refresh() if isinstance(module, Relaxation) else None


def test_it_is_found_as_a_plug_in(plug_in: Callable[[str, str, type], None]) -> None:
    plug_in("nas.tasks", "digit_value", DigitValue)
    assert tasks.find("digit_value") is DigitValue
    assert {"classification", "digit_value"} <= set(tasks.names())


def test_the_data_hold_its_targets(data: Data) -> None:
    batch = next(data.train.batches(16, seed=1))
    assert isinstance(batch.targets, torch.Tensor)
    assert (batch.targets.dtype, batch.targets.shape) == (torch.float32, (16, 1))
    plain = load_data(DataSpec(name="digits", train_images=300), image_size=8, seed=0)
    classes = next(plain.train.batches(16, seed=1)).targets
    assert isinstance(classes, torch.Tensor)
    assert torch.equal(batch.targets[:, 0], classes.float())


def test_a_model_learns_it(data: Data, supernet: Supernet) -> None:
    before = evaluate(supernet.model, data.validation, data.task)
    history = fit(FitCall(supernet.model, PlainStep(), data, RECIPE, 0), QUIET)
    after = evaluate(supernet.model, data.validation, data.task)
    assert history[-1].loss < 0.5 * history[0].loss
    assert after.metrics["deviation"] < 0.7 * before.metrics["deviation"]
    assert set(after.metrics) == {"deviation", "loss"}


@pytest.mark.parametrize("change", [{"smoothing": 0.1}, {"mixup": 0.5}, {"cutmix": 0.5}])
def test_what_it_cannot_do_is_said_before_anything_trains(
    data: Data, supernet: Supernet, change: dict[str, float]
) -> None:
    untouched = {name: value.clone() for name, value in supernet.state_dict().items()}
    with pytest.raises(TrainingError, match=next(iter(change))):
        fit(FitCall(supernet.model, PlainStep(), data, Recipe(epochs=1, **change), 0), QUIET)  # type: ignore[arg-type]
    assert all(torch.equal(value, untouched[name]) for name, value in supernet.state_dict().items())


@pytest.mark.parametrize("rule", ["uniform", "sandwich", "adjoined"])
def test_supernets_learn_it_by_every_rule(data: Data, supernet: Supernet, rule: str) -> None:
    ends = (supernet.space.smallest, supernet.space.largest)
    before = [Evaluator(supernet, data.validation, TASK)(end).metrics["deviation"] for end in ends]
    fit(FitCall(supernet, find(rule)().step(supernet.space), data, RECIPE, 0), QUIET)
    after = [Evaluator(supernet, data.validation, TASK)(end).metrics["deviation"] for end in ends]
    assert all(now < 0.8 * then for now, then in zip(after, before, strict=True))


def test_the_sandwich_sums_its_losses(data: Data, supernet: Supernet) -> None:
    batch = next(data.train.batches(8))
    step = find("sandwich")(random=0).step(supernet.space)  # type: ignore[call-arg]
    parts = list(step(batch, context(supernet)))
    large, small = (supernet(batch.inputs, end) for end in (supernet.space.largest, supernet.space.smallest))
    expected = [mse_loss(large, batch.targets), mse_loss(small, large)]  # type: ignore[arg-type]
    torch.testing.assert_close(torch.stack(parts), torch.stack(expected))


def test_adjoined_and_distilled_losses_are_sums_of_its_own(data: Data, supernet: Supernet) -> None:
    batch = next(data.train.batches(8))
    small, large = supernet.space.smallest, supernet.space.largest
    outputs = {end: supernet(batch.inputs, end) for end in (small, large)}
    error: Any = {end: mse_loss(outputs[end], batch.targets) for end in outputs}  # type: ignore[arg-type]
    pull = mse_loss(outputs[small], outputs[large])
    steps: dict[Step, Any] = {
        AdjoinedStep(small, large, small_ce=True): error[large] + ramp(0.4) * pull + error[small],
        DistilledStep(supernet.subnet(large), weight=0.25): 0.75 * error[small] + 0.25 * pull,
    }
    for step, expected in steps.items():
        module = supernet if isinstance(step, AdjoinedStep) else supernet.subnet(small)
        (loss,) = step(batch, context(module, progress=0.4))
        torch.testing.assert_close(loss, expected)


def test_dan_searches_by_it(data: Data, supernet: Supernet) -> None:
    dan = Dan(noise="none", gamma=0.0)
    problem = cast(Problem, SimpleNamespace(space=supernet.space))  # a method starts from the space alone
    relaxation = Relaxation(supernet, dan.parameters(problem), 10.0)
    step, where = DanStep(dan, relaxation), context(relaxation)
    batch = next(data.train.batches(8))
    (loss,) = step(batch, where)
    etas, unused = relaxation.arch_parameters, torch.Generator()
    weights = {name: dan.weights_at(eta, where, unused) for name, eta in etas.items()}
    large, mixed = supernet.model(batch.inputs), supernet.relaxed(batch.inputs, step.gates(weights))
    expected = mse_loss(large, batch.targets) + mse_loss(mixed, large)  # type: ignore[arg-type]
    torch.testing.assert_close(loss, expected)
    history = fit(FitCall(relaxation, step, data, RECIPE, 0), Runtime(progress=False, refresh=refreshed))
    assert history[-1].loss < history[0].loss
    assert any(bool(eta.abs().max() > 0) for eta in relaxation.arch_parameters.values())


def test_taylor_follows_its_loss(data: Data, supernet: Supernet) -> None:
    scores = Taylor(images=64, batch=32).score(supernet, Workplace(data.without_test())).scores
    assert set(scores) == supernet.space.axes
    assert all(bool((values > 0).any()) for values in scores.values())
