"""Accuracy of a model on a split, and of many sub-networks on the same one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data import Split
from nas.evaluation.reuse import REUSED, Prefixes
from nas.system.packing import Packed, pack, unpack

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
        return _counted(model, split.batches(batch, device=device), _Tally()).evaluation


@runtime_checkable
class Elastic(Protocol):
    """A module that holds sub-networks."""

    def subnet(self, architecture: Architecture) -> nn.Module:
        """One of them."""
        ...


@final
@dataclass(frozen=True)
class Watch:
    """Measures a module, or one of its sub-networks, on a split, where the module is: for `Session.evaluate`."""

    split: Split
    architecture: Architecture | None = None

    def __call__(self, module: nn.Module) -> Mapping[str, float]:
        """Accuracy and loss."""
        device = next(module.parameters()).device
        if self.architecture is not None and isinstance(module, Elastic):
            module = module.subnet(self.architecture)
        return accuracy(module, self.split, device=device).metrics


@final
class Evaluator:
    """Measures sub-networks of one supernet on one split. The images are normalised and put on the device once.

    Sub-networks that begin alike share what they compute there: up to `reuse` bytes of activations are kept on the
    device (see `nas.evaluation.reuse`; 0 keeps none). It can be pickled, without the activations; see
    `nas.system.packing` for how its tensors then travel.
    """

    def __init__(
        self,
        supernet: Supernet,
        split: Split,
        *,
        device: torch.device | str = "cpu",
        batch: int = 512,
        reuse: int = REUSED,
    ) -> None:
        self._supernet, self._split, self._device, self._batch, self._reuse = supernet, split, device, batch, reuse
        self.prefixes = Prefixes(supernet, images=len(split), budget=reuse)
        self._whole: tuple[Tensor, Tensor] | None = None
        if split.images.numel() * 4 <= CACHED:
            self._whole = next(split.batches(len(split), device=device))

    def __call__(self, architecture: Architecture) -> Evaluation:
        """Accuracy and loss of one sub-network: its slices are made once and serve every batch."""
        (found,) = self.stages(architecture, (1.0,))
        return found

    def stages(self, architecture: Architecture, shares: Sequence[float]) -> Iterator[Evaluation]:
        """On growing shares of the images, the first ones of the split; what one has seen is not run again for the
        next. Slices are made anew for each, so that many sub-networks may wait for their next share.
        """
        tally = _Tally()
        for share in shares:
            stop = max(1, round(share * len(self._split)))
            with evaluating(self._supernet), torch.inference_mode():
                small = self.prefixes.runner(architecture, tally.n)
                tally = _counted(small, self._part(tally.n, stop), tally)
            yield tally.evaluation

    def _part(self, start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        if self._whole is None:
            part = replace(self._split, images=self._split.images[start:stop], labels=self._split.labels[start:stop])
            return part.batches(self._batch, device=self._device)
        images, labels = (torch.split(whole[start:stop], self._batch) for whole in self._whole)
        return zip(images, labels, strict=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpacked, (pack((self._supernet, self._split, str(self._device), self._batch, self._reuse)),)


def _unpacked(packed: Packed) -> Evaluator:
    supernet, split, device, batch, reuse = unpack(packed)
    return Evaluator(supernet.to(device), split, device=device, batch=batch, reuse=reuse)


@final
@dataclass(frozen=True)
class Measure:
    """An evaluator as a search sees it: metrics by name."""

    evaluator: Evaluator

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """On all images."""
        return self.evaluator(architecture).metrics

    def stages(self, architecture: Architecture, shares: Sequence[float]) -> Iterator[Mapping[str, float]]:
        """On growing shares of the images."""
        return (found.metrics for found in self.evaluator.stages(architecture, shares))


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


@final
@dataclass(frozen=True)
class _Tally:
    """Of the images seen so far: how many are right, and the sum of their losses."""

    right: int = 0
    loss: float = 0.0
    n: int = 0

    @property
    def evaluation(self) -> Evaluation:
        return Evaluation(self.right / self.n, self.loss / self.n, self.n)


def _counted(model: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]], before: _Tally) -> _Tally:
    right, loss, n = before.right, before.loss, before.n
    for images, labels in batches:
        logits = model(images).float()
        right += int((logits.argmax(1) == labels).sum())
        loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
        n += len(labels)
    return _Tally(right, loss, n)
