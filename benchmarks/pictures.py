"""Folders of pictures to measure on: made, not kept."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 10


@contextlib.contextmanager
def folder(count: int, size: tuple[int, int], different: int) -> Iterator[Path]:
    """Class folders with so many JPEGs of about width x height, in memory where that is a disk; so many of them are
    files of their own, the others links to them.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as root:
        rng = np.random.default_rng(0)
        for name in range(CLASSES):
            (Path(root) / f"{name:02}").mkdir()
        for k in range(count):
            path = Path(root) / f"{k % CLASSES:02}" / f"{k:06}.jpg"
            if k < different:
                picture(rng, size).save(path, quality=90)
            else:
                path.hardlink_to(Path(root) / f"{k % different % CLASSES:02}" / f"{k % different:06}.jpg")
        yield Path(root)


def picture(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Soft shapes with some noise: a JPEG of a photo's size, where noise alone would be many times as large."""
    width, height = (max(4, round(side * rng.uniform(0.9, 1.1))) for side in size)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((width, height))
    return Image.fromarray((np.asarray(coarse) * 0.9 + rng.normal(0, 6, (height, width, 3))).clip(0, 255).astype("u1"))
