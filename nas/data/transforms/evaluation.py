"""Pictures as they are evaluated: nothing is random."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from PIL.Image import Image
from torch import Tensor

from nas.data.resizing import Resizing
from nas.preprocessing import Preprocessing


@cache  # every picture asks for it
def evaluation(size: int, preprocessing: Preprocessing) -> Callable[[Image], Tensor]:
    """What makes a picture (grey or RGB) an image of C x size x size, uint8, still to be normalised. It raises
    `DataError` for a picture so long and narrow that it would not fit into memory.
    """
    return Resizing(
        size,
        crop_pct=preprocessing.crop_pct,
        interpolation=preprocessing.interpolation,
        crop_mode=preprocessing.crop_mode,
    ).picture
