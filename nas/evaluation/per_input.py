"""What a model makes of each input alone, so that two models can be compared input by input.

It sees one input at a time: what an output says of one input of many, only the task knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from nas.data import Split
from nas.evaluation.evaluate import evaluating, tallied
from nas.system.memory import memory_for
from nas.tasks import Outputs, Task


def losses_of_each(
    model: Callable[[Tensor], Outputs], split: Split, task: Task, *, device: torch.device | str
) -> list[float]:
    """The task's loss of each input, N values; `model` is in eval mode, if it is a module."""
    criterion = task.criterion()
    with _measuring(model):
        return [
            float(criterion(model(task.learning_inputs(batch)), batch.targets))
            for batch in split.batches(1, device=device)
        ]


def metrics_of_each(
    model: Callable[[Tensor], Outputs], split: Split, task: Task, *, device: torch.device | str
) -> dict[str, list[float]]:
    """The task's metrics of each input, by their names N values each; `model` is in eval mode, if it is a module."""
    with _measuring(model):
        rows = [tallied(model, [batch], task, task.tally()).metrics for batch in split.batches(1, device=device)]
    return {name: [row[name] for row in rows] for name in rows[0]}


@contextmanager
def _measuring(model: object) -> Iterator[None]:
    """As where a split is measured; a loss of samples that are drawn is of the same ones each time."""
    with memory_for("measure"), evaluating(model), torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        yield
