"""A few validation images, or of the test split, in the run's folder, for reports that draw over real images."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas.studies.run.folder import write_bytes

if TYPE_CHECKING:
    from torch import Tensor

EXAMPLES, FOUND = "examples.npy", "found.npy"
COUNT = 4
"""How many are kept."""


def save_examples(path: Path, images: Tensor) -> None:
    """`images` (uint8, N x C x H x W), written as N x H x W x C."""
    buffer = io.BytesIO()
    np.save(buffer, images.permute(0, 2, 3, 1).numpy(), allow_pickle=False)
    write_bytes(path, buffer.getvalue())


def load_examples(path: Path) -> NDArray[np.uint8] | None:
    """What `save_examples` wrote; None when it is missing or damaged: a report can do without."""
    try:
        images: NDArray[np.uint8] = np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        return None
    return images if images.dtype == np.uint8 and images.ndim == 4 else None
