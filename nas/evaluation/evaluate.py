"""The metrics of a model on a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, final, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.data import Split
from nas.system.memory import memory_for
from nas.tasks import Batch, Confusing, Locating, Outputs, Tally, Task

if TYPE_CHECKING:
    from nas.searchspaces import Architecture

EVAL_BATCH = 512
"""Images that are looked at together, unless a study says otherwise."""
SMALLER = "set a smaller eval_batch, or take a smaller model or smaller images (data.image_size)"
"""What helps where they do not fit."""


@final
@dataclass(frozen=True)
class Evaluation:
    """A task's metrics by name, over `n` inputs. `confusion` is that of a `nas.tasks.Confusing` tally, `locating` the
    tally itself where it is a `nas.tasks.Locating` one.
    """

    metrics: dict[str, float]
    n: int
    confusion: NDArray[np.int64] | None = None
    locating: Locating | None = None


def evaluate(
    model: Callable[[Tensor], Outputs],
    split: Split,
    task: Task,
    *,
    device: torch.device | str = "cpu",
    batch: int = EVAL_BATCH,
    tally: Tally | None = None,
) -> Evaluation:
    """Runs `model` (images B x C x H x W -> outputs), in eval mode if it is a module, over the whole split.

    The task's metrics are measured, or what an empty `tally` of the task measures. Raises `MemoryShortageError`.
    """
    with memory_for(f"measure in batches of {batch}", SMALLER), evaluating(model), torch.inference_mode():
        return evaluation_of(tallied(model, split.batches(batch, device=device), task, tally or task.tally()))


def evaluation_of(tally: Tally) -> Evaluation:
    """What a tally says."""
    confusion = tally.confusion if isinstance(tally, Confusing) else None
    return Evaluation(tally.metrics, tally.n, confusion, tally if isinstance(tally, Locating) else None)


def tallied(model: Callable[[Tensor], Outputs], batches: Iterable[Batch], task: Task, tally: Tally) -> Tally:
    """`tally`, and after it what the model makes of the batches."""
    for batch in batches:
        tally = tally.after(model(task.measured_inputs(batch, tally)), batch.targets)
    return tally


@runtime_checkable
class Elastic(Protocol):
    """A module that holds sub-networks."""

    def subnet(self, architecture: Architecture) -> nn.Module:
        """One of them."""
        ...


@final
@dataclass(frozen=True)
class Watch:
    """Measures a module, or one of its sub-networks, on a split, where the module is: for `Runtime.evaluate`."""

    split: Split
    task: Task
    architecture: Architecture | None = None
    batch: int = EVAL_BATCH

    def __call__(self, module: nn.Module) -> Mapping[str, float]:
        """The task's metrics."""
        device = next(module.parameters()).device
        if self.architecture is not None and isinstance(module, Elastic):
            module = module.subnet(self.architecture)
        return evaluate(module, self.split, self.task, device=device, batch=self.batch).metrics


@contextmanager
def evaluating(model: object) -> Iterator[None]:
    """Eval mode for a module, afterwards the mode that it had."""
    if not isinstance(model, nn.Module):
        yield
        return
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
