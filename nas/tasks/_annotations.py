"""What is to be found in pictures: boxes with their classes and, optionally, masks.

Shapes: N pictures, M boxes of the picture that has most; what a picture has fewer is padding, at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from nas.tasks._rle import RunLengths, encoded

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from nas.tasks._base import Facts

Masks: TypeAlias = tuple[tuple[RunLengths, ...], ...]
"""Of each picture, the masks of its boxes, in their order."""


@final
@dataclass(frozen=True, eq=False)
class Annotations:
    """Targets of N pictures that lie in letterboxes: scaled, and with a margin, so that all have the same size.

    boxes       N x M x 4, float32: left, top, right, bottom, in pixels of the letterbox
    labels      N x M, int64: classes counted from 0; `NONE` of padding
    crowd       N x M, bool: the box holds a crowd, in which nobody counts the objects
    areas       N x M, float32: of the objects, in pixels of the picture itself; by them COCO tells small from large
    ids         N, int64: what the data set calls the pictures
    placement   N x 6, float32: scale to the right and down, left and top margin (pixels of the letterbox), height and
                width of the picture itself: a point x of it lies at scale * x + margin
    size        height and width of the letterbox
    masks       of each picture the masks of its boxes, in pixels of the picture itself; None where nobody needs them
    """

    NONE: ClassVar[int] = -1

    boxes: Tensor
    labels: Tensor
    crowd: Tensor
    areas: Tensor
    ids: Tensor
    placement: Tensor
    size: tuple[int, int]
    masks: Masks | None = None

    def __post_init__(self) -> None:
        count, most = self.labels.shape
        assert self.boxes.shape == (count, most, 4)
        assert self.crowd.shape == self.areas.shape == (count, most)
        assert self.ids.shape == (count,)
        assert self.placement.shape == (count, 6)
        assert self.masks is None or len(self.masks) == count

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self.ids)

    def to(self, device: torch.device | str) -> Annotations:
        """Those of the same pictures on a device; masks stay where they are."""
        return self._mapped(lambda tensor: tensor.to(device), self.masks)

    def at(self, indices: Tensor) -> Annotations:
        """Those of the pictures at these indices (int64), in this order; copies."""
        masks = self.masks
        chosen = None if masks is None else tuple(masks[index] for index in indices.tolist())
        return self._mapped(lambda tensor: tensor[indices], chosen)

    def between(self, start: int, stop: int) -> Annotations:
        """Those of the pictures from `start` to `stop`; views."""
        return self._mapped(lambda tensor: tensor[start:stop], None if self.masks is None else self.masks[start:stop])

    def counts(self) -> Tensor:
        """How many boxes each picture has (int64, N)."""
        return (self.labels != self.NONE).sum(1)

    def restored(self, picture: int, boxes_K4: Tensor) -> Tensor:
        """Boxes that were found in the letterbox of a picture, in pixels of the picture itself, cut off at its
        borders.
        """
        right, down, left, top, height, width = self.placement[picture].to(boxes_K4).unbind()
        scale, margin = self._corners(right, down), self._corners(left, top)
        return ((boxes_K4 - margin) / scale).clamp_min(0).minimum(self._corners(width, height))

    def letterboxed_masks(self, picture: int) -> Tensor:
        """The masks of a picture's boxes in its letterbox: bool, boxes x height x width."""
        import torch

        assert self.masks is not None, "these annotations have no masks"
        masks = self.masks[picture]
        if not masks:
            return torch.zeros(0, *self.size, dtype=torch.bool)
        # Each pixel of the letterbox asks which pixel of the picture its centre lies in.
        right, down, left, top, height, width = self.placement[picture].tolist()
        rows, row_there = _sources(self.size[0], down, top, int(height))
        columns, column_there = _sources(self.size[1], right, left, int(width))
        drawn = np.stack([mask.decoded()[np.ix_(rows, columns)] for mask in masks])
        return torch.from_numpy(drawn & row_there[:, None] & column_there)

    @staticmethod
    def joined(parts: Sequence[Annotations]) -> Annotations:
        """Those of several groups of pictures, one after the other; at least one group, all of one letterbox."""
        import torch
        from torch.nn import functional

        most = max(part.labels.shape[1] for part in parts)
        first = parts[0]
        assert all(part.size == first.size for part in parts)
        assert len({part.masks is None for part in parts}) == 1, "all have masks, or none has"

        def padded(name: str, value: float) -> Tensor:
            tensors = [getattr(part, name) for part in parts]
            ends = [(0, 0) * (tensor.ndim - 2) + (0, most - tensor.shape[1]) for tensor in tensors]
            return torch.cat([functional.pad(*both, value=value) for both in zip(tensors, ends, strict=True)])

        return Annotations(
            boxes=padded("boxes", 0),
            labels=padded("labels", Annotations.NONE),
            crowd=padded("crowd", 0),
            areas=padded("areas", 0),
            ids=torch.cat([part.ids for part in parts]),
            placement=torch.cat([part.placement for part in parts]),
            size=first.size,
            masks=None if first.masks is None else tuple(masks for part in parts for masks in part.masks or ()),
        )

    @staticmethod
    def _corners(x: Tensor, y: Tensor) -> Tensor:
        import torch

        return torch.stack([x, y, x, y])

    def _mapped(self, change: Callable[[Tensor], Tensor], masks: Masks | None) -> Annotations:
        return replace(
            self,
            boxes=change(self.boxes),
            labels=change(self.labels),
            crowd=change(self.crowd),
            areas=change(self.areas),
            ids=change(self.ids),
            placement=change(self.placement),
            masks=masks,
        )


def in_the_middle(facts: Facts, n: int) -> Annotations:
    """Of n pictures, to try a task with: in each an object of one class, in its middle, with a mask."""
    import torch

    side = facts.image_size or 32
    middle = torch.tensor([side // 4, side // 4, side - side // 4, side - side // 4])
    mask = np.zeros((side, side), bool)
    mask[side // 4 : side - side // 4, side // 4 : side - side // 4] = True
    return Annotations(
        boxes=middle.float().expand(n, 1, 4).clone(),
        labels=torch.arange(n)[:, None] % facts.classes,
        crowd=torch.zeros(n, 1, dtype=torch.bool),
        areas=torch.full((n, 1), float(mask.sum())),
        ids=torch.arange(n),
        placement=torch.tensor([1.0, 1.0, 0.0, 0.0, side, side]).expand(n, 6).clone(),
        size=(side, side),
        masks=((encoded(mask),),) * n,
    )


def _sources(pixels: int, scale: float, margin: float, count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Which of `count` rows (or columns) of a picture each of the letterbox's `pixels` shows, and whether any."""
    source = np.floor((np.arange(pixels) + 0.5 - margin) / scale).astype(np.int64)
    return source.clip(0, count - 1), (source >= 0) & (source < count)
