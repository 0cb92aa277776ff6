"""Small sets of picture files, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def class_folders(root: Path, *, train: int, test: int) -> Path:
    """train/ and test/ below `root`, in each the classes a and b with so many PNGs of 8 x 9 random pixels."""
    rng = np.random.default_rng(0)
    for role, count in (("train", train), ("test", test)):
        for name in "ab":
            (root / role / name).mkdir(parents=True)
            for k in range(count):
                picture = Image.fromarray(rng.integers(0, 256, (9, 8, 3), dtype=np.uint8))
                picture.save(root / role / name / f"{k}.png")
    return root
