"""Pictures in class folders: PATH/train/CLASS/*.jpg with PATH/test or PATH/val beside it, or PATH/CLASS/*.jpg alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from nas.data.images import Pictures
from nas.data.source import Labelled, Source, labelled
from nas.errors import DataError

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif"}
VALIDATION = ("val", "valid", "validation")


def read(path: Path) -> Source:
    """Finds the pictures; decodes none.

    With train/, val/ and test/ each is what it says. With train/ and val/ only, val/ is the test split, as ImageNet is
    used, and the search-validation split is carved from train/ like everywhere else.
    """
    if not (path / "train").is_dir():
        classes = _classes(path)
        return Source(path.name, classes, _split(path, classes))
    classes = _classes(path / "train")
    validation = next((path / name for name in VALIDATION if (path / name).is_dir()), None)
    test = path / "test" if (path / "test").is_dir() else None
    if validation is None and test is None:
        raise DataError(
            f"{path}: found train/ without test/ or val/; add one of them, "
            "or move the class folders up one level and they will be split"
        )
    if test is None:
        validation, test = None, validation
    assert test is not None
    return Source(
        path.name,
        classes,
        _split(path / "train", classes),
        None if validation is None else _split(validation, classes),
        _split(test, classes),
    )


def _folders(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _classes(path: Path) -> tuple[str, ...]:
    classes = tuple(_folders(path))
    if len(classes) < 2:
        raise DataError(f"{path}: found {len(classes)} class folders; at least two are needed, each with its pictures")
    return classes


def _split(path: Path, classes: tuple[str, ...]) -> Labelled:
    foreign = sorted(set(_folders(path)) - set(classes))
    if foreign:
        raise DataError(
            f"{path}: class folders that train/ lacks: {', '.join(foreign[:5])}; every split must have the same classes"
        )
    files, labels = [], []
    for k, name in enumerate(classes):
        pictures_of_class = sorted(file for file in (path / name).rglob("*") if file.suffix.lower() in ENDINGS)
        files += pictures_of_class
        labels += [k] * len(pictures_of_class)
    if not files:
        raise DataError(f"{path}: no pictures in its class folders; known endings: {', '.join(sorted(ENDINGS))}")
    pictures = Pictures(lambda i: Image.open(files[i]), lambda i: str(files[i]), len(files))
    return labelled(pictures, np.array(labels), str(path))
