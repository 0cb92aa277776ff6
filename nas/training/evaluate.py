"""Accuracy of a model on a split, and of many sub-networks on the same one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.training.data import Split

if TYPE_CHECKING:
    from nas.searchspaces import Architecture
    from nas.supernets import Supernet

CACHED = 2 * 2**30
"""Bytes of normalised images that an `Evaluator` keeps on its device; a larger split is normalised anew for each
sub-network.
"""


@final
@dataclass(frozen=True)
class Evaluation:
    """Top-1 accuracy in [0, 1] and mean cross-entropy over `n` images."""

    accuracy: float
    loss: float
    n: int

    @property
    def metrics(self) -> dict[str, float]:
        """What a trial records."""
        return {"accuracy": self.accuracy, "loss": self.loss}


def accuracy(
    model: Callable[[Tensor], Tensor], split: Split, *, device: torch.device | str = "cpu", batch: int = 512
) -> Evaluation:
    """Runs `model` (images B x C x H x W -> logits B x K), in eval mode if it is a module, over the whole split."""
    with evaluating(model), torch.inference_mode():
        return _evaluate(model, split.batches(batch, device=device))


@final
class Evaluator:
    """Measures sub-networks of one supernet on one split. The images are normalised and put on the device once."""

    def __init__(
        self, supernet: Supernet, split: Split, *, device: torch.device | str = "cpu", batch: int = 512
    ) -> None:
        self._supernet, self._split, self._device, self._batch = supernet, split, device, batch
        self._cached = list(self._batches()) if split.images.numel() * 4 <= CACHED else None

    def __call__(self, architecture: Architecture) -> Evaluation:
        """Accuracy and loss of one sub-network: its slices are made once and serve every batch."""
        with evaluating(self._supernet), torch.inference_mode():
            return _evaluate(self._supernet.subnet(architecture), self._cached or self._batches())

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self._split.batches(self._batch, device=self._device)


@contextmanager
def evaluating(model: object) -> Iterator[None]:
    """Eval mode for a module, afterwards the mode that it had."""
    if not isinstance(model, nn.Module):
        yield
        return
    trained = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(trained)


def _evaluate(model: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]]) -> Evaluation:
    right, loss, n = 0, 0.0, 0
    for images, labels in batches:
        logits = model(images).float()
        right += int((logits.argmax(1) == labels).sum())
        loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
        n += len(labels)
    return Evaluation(right / n, loss / n, n)
