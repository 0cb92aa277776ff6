"""The metrics of many sub-networks of one supernet on the same split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import torch

from nas.data import Split
from nas.evaluation.evaluate import EVAL_BATCH, SMALLER, Evaluation, evaluating, tallied
from nas.evaluation.reuse import REUSED, Prefixes
from nas.system.memory import memory_for
from nas.system.packing import Packed, pack, unpack
from nas.tasks import Batch, Task

if TYPE_CHECKING:
    from nas.searchspaces import Architecture
    from nas.supernets import Supernet

CACHED = 2 * 2**30
"""Bytes of normalised images that an `Evaluator` keeps on its device; a larger split is normalised anew for each
sub-network.
"""


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
        task: Task,
        *,
        device: torch.device | str = "cpu",
        batch: int = EVAL_BATCH,
        reuse: int = REUSED,
    ) -> None:
        self._supernet, self._split, self._task = supernet, split, task
        self._device, self._batch, self._reuse = device, batch, reuse
        self.prefixes = Prefixes(supernet, images=len(split), budget=reuse)
        self._whole: Batch | None = None
        if split.in_memory and split.values * 4 <= CACHED:
            self._whole = next(split.batches(len(split), device=device))

    def __call__(self, architecture: Architecture) -> Evaluation:
        """The metrics of one sub-network: its slices are made once and serve every batch."""
        (evaluation,) = self.stages(architecture, (1.0,))
        return evaluation

    def stages(self, architecture: Architecture, shares: Sequence[float]) -> Iterator[Evaluation]:
        """On growing shares of the images, the first ones of the split; what one has seen is not run again for the
        next. Slices are made anew for each, so that many sub-networks may wait for their next share.
        """
        tally = self._task.tally()
        for share in shares:
            stop = max(1, round(share * len(self._split)))
            enough = memory_for(f"measure in batches of {self._batch}", SMALLER)
            with enough, evaluating(self._supernet), torch.inference_mode():
                subnet = self.prefixes.runner(architecture, tally.n)
                tally = tallied(subnet, self._part(tally.n, stop), self._task, tally)
            yield Evaluation(tally.metrics, tally.n)

    def _part(self, start: int, stop: int) -> Iterator[Batch]:
        """The images from `start` to `stop`, in batches; they begin anew at `start`."""
        if self._whole is None:
            return self._split.between(start, stop).batches(self._batch, device=self._device)
        part = self._whole.between(start, stop)
        return (part.between(first, first + self._batch) for first in range(0, len(part), self._batch))

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpacked, (
            pack((self._supernet, self._split, self._task, str(self._device), self._batch, self._reuse)),
        )


def _unpacked(packed: Packed) -> Evaluator:
    supernet, split, task, device, batch, reuse = unpack(packed)
    return Evaluator(supernet.to(device), split, task, device=device, batch=batch, reuse=reuse)


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
        return (evaluation.metrics for evaluation in self.evaluator.stages(architecture, shares))
