"""What every task must hold to, tested for all in the plug-in folder and all that other packages bring.

from nas.testing.tasks import TaskSuite

class TestTasks(TaskSuite):
    pass
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from nas import tasks
from nas.errors import TrainingError
from nas.supernets import build
from nas.tasks import Batch, Confusing, Facts, Mixing, Outputs, Tally, Task

CLASSES = ("zero", "one", "two")
FACTS = Facts(channels=1, classes=len(CLASSES), image_size=16)
MODEL, SIZES = "vit_tiny_patch16_224", {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
INPUTS = 9
"""An odd number, so that parts are not alike."""


BLENDS = (Mixing(mixup=0.8), Mixing(cutmix=1.0), Mixing(0.8, 1.0))


class TaskSuite:
    """Inherit it in a test file. It tries every task that is installed when the file is collected, with its default
    options; or those in `tried`.
    """

    tried: ClassVar[Sequence[Task] | None] = None

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Makes each test one of each task."""
        kinds = [tasks.find(name) for name in tasks.names()]
        made = [kind(**options) for kind in kinds for options in kind.examples]
        found = made if self.tried is None else self.tried
        metafunc.parametrize("task", found, ids=[type(task).__name__ for task in found])

    def test_metrics_have_names_of_their_own(self, task: Task) -> None:
        """The first one is the default objective, so there must be one."""
        assert task.metrics
        names = [metric.name for metric in task.metrics]
        assert len(set(names)) == len(names)
        assert all(metric.origin == "measured" for metric in task.metrics)

    def test_it_can_be_pickled(self, task: Task) -> None:
        """Searches measure in other processes."""
        assert pickle.loads(pickle.dumps(task)) == task

    def test_rows_are_told_apart_only_where_there_are_any(self, task: Task) -> None:
        """Each row of the outputs is what the model says of that input alone."""
        if task.row_by_row:
            model, whole = network(task).eval(), batch(task)
            alone = torch.cat([model(whole.between(row, row + 1).inputs) for row in range(len(whole))])
            torch.testing.assert_close(model(whole.inputs), alone, rtol=1e-4, atol=1e-5)

    def test_targets_are_as_many_as_the_labels(self, task: Task) -> None:
        """The first dimension counts the inputs, of no inputs, too."""
        for n in (0, 1, INPUTS):
            assert len(task.example_targets(FACTS, n)) == n

    def test_the_criterion_is_a_mean_that_can_be_differentiated(self, task: Task) -> None:
        """A mean over inputs: only then is the sum over ranks, or over accumulated batches, the loss of the whole."""
        model, whole = network(task), batch(task)
        loss = loss_of(task, model, whole)
        assert loss.shape == ()
        assert math.isfinite(float(loss.detach()))
        torch.autograd.backward(loss)
        assert reached(model)
        parts = [(whole.between(start, stop), (stop - start) / INPUTS) for start, stop in ((0, 4), (4, INPUTS))]
        summed = sum(share * float(loss_of(task, model, part).detach()) for part, share in parts)
        assert summed == pytest.approx(float(loss.detach()), rel=0.5 if task.draws else 1e-5)

    def test_smoothing_is_done_or_refused(self, task: Task) -> None:
        """Refused with `TrainingError`, and not when it is first needed."""
        try:
            criterion = task.criterion(0.1)
        except TrainingError:
            return
        whole = batch(task)
        outputs = network(task)(task.learning_inputs(whole))
        assert math.isfinite(float(criterion(outputs, whole.targets).detach()))

    def test_the_divergence_is_0_for_equal_outputs_and_pulls_both(self, task: Task) -> None:
        """Adjoined training pulls both networks; a detached reference is a fixed teacher."""
        inputs = batch(task).inputs
        first, second = network(task, 0), network(task, 1)
        outputs = first(inputs)
        assert float(task.divergence(outputs, outputs).detach()) == pytest.approx(0, abs=1e-6)
        divergence = task.divergence(outputs, second(inputs))
        assert divergence.shape == ()
        assert float(divergence.detach()) > 1e-9
        torch.autograd.backward(divergence)
        assert reached(first)
        assert reached(second)
        teacher, student = network(task, 0), network(task, 1)
        torch.autograd.backward(task.divergence(task.detached(teacher(inputs)), student(inputs), temperature=2.0))
        assert not reached(teacher)
        assert reached(student)

    def test_mixing_follows_the_seed_or_is_refused(self, task: Task) -> None:
        """Nothing asked, nothing mixed. Mixed targets must be some that the criterion takes."""
        assert task.mixer(Mixing(), len(CLASSES)) is None
        whole = batch(task)
        for blend in BLENDS:
            try:
                mixer = task.mixer(blend, len(CLASSES))
            except TrainingError:
                continue
            assert mixer is not None
            first, again, other = (mixer(whole, seed) for seed in (1, 1, 2))
            assert same(first, again)
            assert not same(first, other)
            assert same(whole, batch(task)), "the batch itself stays as it is"
            loss = loss_of(task, network(task), first)
            assert math.isfinite(float(loss.detach()))

    def test_a_tally_of_parts_is_that_of_the_whole(self, task: Task) -> None:
        """Racing looks at some images first, and goes on from that tally; so a tally must not change when used."""
        whole, model = batch(task), network(task)
        empty = task.tally()
        part = tallied(task, empty, model, whole.between(0, 4))
        metrics = dict(part.metrics)
        resumed = tallied(task, part, model, whole.between(4, INPUTS))
        at_once = tallied(task, task.tally(), model, whole)
        assert (empty.n, part.n, resumed.n, at_once.n) == (0, 4, INPUTS, INPUTS)
        assert part.metrics == metrics
        assert resumed.metrics == pytest.approx(at_once.metrics, rel=0.5 if task.draws else 1e-5)
        assert list(at_once.metrics) == [metric.name for metric in task.metrics]
        assert all(type(value) is float and math.isfinite(value) for value in at_once.metrics.values())

    def test_a_metric_is_a_mean_over_inputs_where_it_says_so(self, task: Task) -> None:
        """Two models are then compared input by input, and candidates of a race part by part."""
        model, whole, classes = network(task), batch(task), len(CLASSES)
        at_once = tallied(task, task.detailed_tally(classes), model, whole).metrics
        ones = [whole.between(row, row + 1) for row in range(INPUTS)]
        alone = [tallied(task, task.detailed_tally(classes), model, one).metrics for one in ones]
        for metric in (metric for metric in task.detailed_metrics(classes) if metric.averaged):
            mean = sum(values[metric.name] for values in alone) / INPUTS
            assert at_once[metric.name] == pytest.approx(mean, rel=0.5 if task.draws else 1e-4)

    def test_a_detailed_tally_measures_the_same_and_more(self, task: Task) -> None:
        """What searches go by is the same number at the end, to the last bit."""
        whole, model, classes = batch(task), network(task), len(CLASSES)
        plain = tallied(task, task.tally(), model, whole)
        detailed = tallied(task, task.detailed_tally(classes), model, whole)
        assert list(detailed.metrics) == [metric.name for metric in task.detailed_metrics(classes)]
        assert detailed.metrics.items() >= plain.metrics.items()
        assert detailed.n == INPUTS
        assert all(type(value) is float and math.isfinite(value) for value in detailed.metrics.values())
        if isinstance(detailed, Confusing) and detailed.confusion is not None:
            assert detailed.confusion.shape == (classes, classes)
            assert detailed.confusion.sum() == INPUTS

    def test_the_difference_is_0_for_equal_outputs_only(self, task: Task) -> None:
        """It proves that an extracted model is what was searched."""
        inputs = batch(task).inputs
        first, second = outputs_of(network(task, 0), inputs), outputs_of(network(task, 1), inputs)
        assert task.difference(first, first) == 0
        assert task.difference(first, second) == task.difference(second, first) > 0

    def test_predictions_are_one_plain_row_per_input(self, task: Task) -> None:
        """All with the same columns."""
        rows = task.predictions(outputs_of(network(task), batch(task).inputs), batch(task).targets, CLASSES)
        assert len(rows) == INPUTS
        assert json.loads(json.dumps(rows)) == rows
        assert len({tuple(row) for row in rows}) == 1

    def test_what_a_saved_model_says_is_plain_json(self, task: Task) -> None:
        """It is written into `model.json`."""
        about = dict(task.about(CLASSES))
        assert json.loads(json.dumps(about)) == about


def network(task: Task, seed: int = 0) -> nn.Module:
    """A small model for the task, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(MODEL, {**SIZES, **task.model_args(FACTS)}).eval()


def batch(task: Task) -> Batch:
    """Random images, with targets of all classes; the same ones each time."""
    size, channels = FACTS.image_size, FACTS.channels
    images = torch.randn(INPUTS, channels, size, size, generator=torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    return Batch(images, task.example_targets(FACTS, INPUTS))


def loss_of(task: Task, model: nn.Module, part: Batch) -> Tensor:
    """The loss of a batch."""
    return task.criterion()(model(task.learning_inputs(part)), part.targets)


def columns(whole: Batch) -> dict[str, Tensor]:
    """The targets by name; "" for a single tensor. Of an object: its tensors."""
    targets = whole.targets
    if isinstance(targets, Tensor):
        return {"": targets}
    parts = targets if isinstance(targets, Mapping) else vars(targets)
    return {name: part for name, part in parts.items() if isinstance(part, Tensor)}


def same(first: Batch, second: Batch) -> bool:
    """Equal to the last bit."""
    ones, others = ({"inputs": whole.inputs, **columns(whole)} for whole in (first, second))
    return ones.keys() == others.keys() and all(torch.equal(ones[name], others[name]) for name in ones)


def reached(model: nn.Module) -> bool:
    """Whether gradients came to the model, and none of them is infinite or no number."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    return any(bool(gradient.abs().max() > 0) for gradient in gradients)


def outputs_of(model: nn.Module, inputs: Any) -> Outputs:
    """Without gradients."""
    with torch.no_grad():
        return model(inputs)


def tallied(task: Task, tally: Tally, model: nn.Module, part: Batch) -> Tally:
    """The tally after one batch."""
    return tally.after(outputs_of(model, task.measured_inputs(part, tally)), part.targets)
