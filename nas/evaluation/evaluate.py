"""The metrics of a model on a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn

from nas.data import Split
from nas.tasks import Batch, Outputs, Tally, Task

if TYPE_CHECKING:
    from nas.searchspaces import Architecture


@final
@dataclass(frozen=True)
class Evaluation:
    """A task's metrics by name, over `n` inputs."""

    metrics: dict[str, float]
    n: int


def evaluate(
    model: Callable[[Tensor], Outputs],
    split: Split,
    task: Task,
    *,
    device: torch.device | str = "cpu",
    batch: int = 512,
) -> Evaluation:
    """Runs `model` (images B x C x H x W -> outputs), in eval mode if it is a module, over the whole split."""
    with evaluating(model), torch.inference_mode():
        tally = tallied(model, split.batches(batch, device=device), task.tally())
    return Evaluation(tally.metrics, tally.n)


def tallied(model: Callable[[Tensor], Outputs], batches: Iterable[Batch], tally: Tally) -> Tally:
    """`tally`, and after it what the model makes of the batches."""
    for batch in batches:
        tally = tally.after(model(batch.inputs), batch.targets)
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

    def __call__(self, module: nn.Module) -> Mapping[str, float]:
        """The task's metrics."""
        device = next(module.parameters()).device
        if self.architecture is not None and isinstance(module, Elastic):
            module = module.subnet(self.architecture)
        return evaluate(module, self.split, self.task, device=device).metrics


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
