"""What a model makes of each input alone, so that two models can be compared input by input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from nas.data import Split
from nas.evaluation.evaluate import EVAL_BATCH, SMALLER, evaluating
from nas.system.memory import memory_for
from nas.tasks import Batch, Outputs, Targets, Task

Model = Callable[[Tensor], Outputs]


def losses_of_each(
    model: Model, split: Split, task: Task, *, device: torch.device | str, batch: int = EVAL_BATCH
) -> list[float]:
    """The task's loss of each input, N values; `model` is in eval mode, if it is a module."""
    criterion = task.criterion()
    with _measuring(model, batch):
        batches = split.batches(batch, device=device)
        return [float(criterion(*one)) for one in _one_by_one(model, batches, task, task.learning_inputs)]


def metrics_of_each(
    model: Model, split: Split, task: Task, *, device: torch.device | str, batch: int = EVAL_BATCH
) -> dict[str, list[float]]:
    """The task's metrics of each input, by their names N values each; `model` is in eval mode, if it is a module."""
    empty = task.tally()
    with _measuring(model, batch):
        batches = split.batches(batch, device=device)
        every = _one_by_one(model, batches, task, lambda inputs: task.measured_inputs(inputs, empty))
        rows = [empty.after(*one).metrics for one in every]
    return {name: [row[name] for row in rows] for name in rows[0]}


def _one_by_one(
    model: Model, batches: Iterator[Batch], task: Task, inputs_of: Callable[[Batch], Any]
) -> Iterator[tuple[Outputs, Targets]]:
    """Outputs and targets of one input after the other. The model sees many together where the task can tell their
    outputs apart.
    """
    for batch in batches:
        ones = [batch.between(row, row + 1) for row in range(len(batch))]
        if task.row_by_row:
            yield from zip(model(inputs_of(batch)).split(1), (one.targets for one in ones), strict=True)
        else:
            yield from ((model(inputs_of(one)), one.targets) for one in ones)


@contextmanager
def _measuring(model: object, batch: int) -> Iterator[None]:
    """As where a split is measured; a loss of samples that are drawn is of the same ones each time."""
    doing = f"measure in batches of {batch}"
    with memory_for(doing, SMALLER), evaluating(model), torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        yield
