"""What annotated pictures hold, before any of them is decoded.

Shapes: N pictures, K objects of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from nas.data.letterbox import Letterbox
from nas.data.outlines import drawn
from nas.errors import DataError
from nas.tasks import Annotations, RunLengths

if TYPE_CHECKING:
    from nas.data.outlines import ObjectOutline

MOST = 2000
"""Objects of one picture: all pictures of a split have room for as many as the one with most."""


@final
@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of N pictures, picture by picture.

    starts     N + 1, int64: those of picture i are starts[i] to starts[i + 1]
    boxes      K x 4, float64: left, top, right, bottom, in pixels of the picture, inside of it
    labels     K, int64: classes counted from 0
    crowd      K, bool
    areas      K, float64: in pixels
    ids        N, int64: what the set calls the pictures
    sizes      N x 2, int64: height and width in pixels
    outlines   what their masks are drawn from, K; None of a set without masks
    """

    starts: NDArray[np.int64]
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float64]
    ids: NDArray[np.int64]
    sizes: NDArray[np.int64]
    outlines: Sequence[ObjectOutline] | None = None

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self.ids)

    def placed(self, pictures: NDArray[np.int64], letterbox: Letterbox) -> Annotations:
        """The targets of these pictures (N) in the letterbox."""
        import torch

        counts = (self.starts[pictures + 1] - self.starts[pictures]).astype(np.int64)
        most = int(counts.max(initial=0))
        there = np.arange(most) < counts[:, None]  # N x M
        # Of each of these pictures, its first object, and then the others of it.
        rows = (self.starts[pictures][:, None] + np.arange(most))[there]
        placement = np.array([letterbox.placement(*map(int, self.sizes[k])) for k in pictures]).reshape(-1, 6)

        def padded(values: NDArray[Any], kind: Any, value: Any = 0) -> torch.Tensor:
            target = np.full((len(pictures), most, *values.shape[1:]), value, kind)
            target[there] = values[rows]
            return torch.from_numpy(target)

        scale, margin = np.tile(placement[:, None, 0:2], 2), np.tile(placement[:, None, 2:4], 2)
        boxes = padded(self.boxes, np.float64)
        boxes = torch.where(torch.from_numpy(there)[..., None], boxes * scale + margin, boxes)
        return Annotations(
            boxes=boxes.float(),
            labels=padded(self.labels, np.int64, Annotations.NONE),
            crowd=padded(self.crowd, np.bool_),
            areas=padded(self.areas, np.float32),
            ids=torch.from_numpy(self.ids[pictures]),
            placement=torch.from_numpy(placement).float(),
            size=letterbox.sides,
            masks=None if self.outlines is None else tuple(self._masks(int(picture)) for picture in pictures),
        )

    def _masks(self, picture: int) -> tuple[RunLengths, ...]:
        assert self.outlines is not None
        height, width = map(int, self.sizes[picture])
        every = range(int(self.starts[picture]), int(self.starts[picture + 1]))
        try:
            return tuple(drawn(self.outlines[k], height, width) for k in every)
        except DataError as fault:
            raise DataError(f"the annotations of picture {int(self.ids[picture])}: {fault}") from None

    def of_classes(self, numbers: Mapping[int, int]) -> Objects:
        """Those of some classes alone, with other numbers: old -> new."""
        kept = np.isin(self.labels, list(numbers))
        owner = np.repeat(np.arange(len(self)), np.diff(self.starts))[kept]
        counts = np.bincount(owner, minlength=len(self))
        return replace(
            self,
            starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            boxes=self.boxes[kept],
            labels=np.array([numbers[int(label)] for label in self.labels[kept]], np.int64),
            crowd=self.crowd[kept],
            areas=self.areas[kept],
            outlines=None if self.outlines is None else [self.outlines[k] for k in np.flatnonzero(kept).tolist()],
        )
