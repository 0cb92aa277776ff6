"""Masks as run lengths, in COCO's order: column by column, zeros first. Numbers alone, which all can read."""

from __future__ import annotations

from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray


@final
class RunLengths(NamedTuple):
    """A mask of `height` x `width` pixels: how many are out of it, in it, out of it ... (uint32), column by column."""

    height: int
    width: int
    counts: NDArray[np.uint32]

    @property
    def area(self) -> int:
        """How many pixels are in the mask."""
        return int(self.counts[1::2].sum())

    def decoded(self) -> NDArray[np.bool_]:
        """The mask, height x width."""
        values = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(values, self.counts).reshape(self.width, self.height).T


def encoded(mask_HW: NDArray[np.bool_]) -> RunLengths:
    """The run lengths of a mask, height x width."""
    height, width = mask_HW.shape
    pixels = mask_HW.T.ravel()
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    bounds = np.concatenate([[0] if len(pixels) and pixels[0] else [], [0], changes, [len(pixels)]])
    return RunLengths(height, width, np.diff(bounds).astype(np.uint32))
