"""What a reader of a data set hands over: labelled images of the splits that the data set brings, still undecoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.data.images import Images
from nas.data.objects import Objects
from nas.errors import DataError
from nas.foreign import COMMANDS, LONGEST_FOLDER, is_name, printable

MOST_CLASSES = 2**31


@final
@dataclass(frozen=True)
class Labelled:
    """Images and their classes (N,), counted from 0; `LEFT_OUT` of images that are no part of the set. Annotated
    pictures have no classes, but objects: all labels are 0.
    """

    LEFT_OUT: ClassVar[int] = -1

    images: Images
    labels: NDArray[np.int64]
    objects: Objects | None = None

    @property
    def indices(self) -> NDArray[np.int64]:
        """Those that are part of the set."""
        return np.flatnonzero(self.labels != self.LEFT_OUT)


@final
@dataclass(frozen=True)
class Source:
    """A data set as it lies there. `validation` and `test` are None where it has none: they are then carved from
    `train`. `notes` say what a user should know of how it was read, `category_ids` by which numbers the files of
    annotated pictures call the classes.
    """

    name: str
    classes: tuple[str, ...]
    train: Labelled
    validation: Labelled | None = None
    test: Labelled | None = None
    notes: tuple[str, ...] = ()
    category_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Raises `DataError` for a class that cannot be named in a table."""
        strange = [name for name in self.classes if not is_name(name, LONGEST_FOLDER)]
        if strange:
            raise DataError(
                f"{self.name}: found a class called '{printable(strange[0])}'; allowed: printable characters, the "
                f"first one none of {' '.join(COMMANDS)} and no space; rename its folder"
            )

    @property
    def splits(self) -> dict[str, Labelled]:
        """The splits that are there, by name."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in splits.items() if split is not None}


def check_range(source: Source) -> None:
    """Raises `DataError` for a label beyond the classes."""
    for name, split in source.splits.items():
        highest = int(split.labels.max())
        if highest >= len(source.classes):
            raise DataError(
                f"{source.name}: {name} has the label {highest}; its classes are 0 to {len(source.classes) - 1}"
            )


def labelled(images: Images, labels: ArrayLike, where: str) -> Labelled:
    """Checks that there is one class per image. Labels of shape N or N x 1; `where` names the file and key for the
    message.
    """
    array: NDArray[Any] = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise DataError(
            f"{where}: labels are {array.dtype} of shape {array.shape}; "
            "needed: one class number per image (integers, N or N x 1)"
        )
    if len(array) != len(images):
        raise DataError(f"{where}: {len(array)} labels for {len(images)} images; the file seems damaged or mixed up")
    if len(array) == 0:
        raise DataError(f"{where}: no images")
    outside = [int(label) for label in (array.min(), array.max()) if not 0 <= int(label) < MOST_CLASSES]
    if outside:
        raise DataError(f"{where}: found the label {outside[0]}; classes are counted from 0")
    return Labelled(images, array.astype(np.int64))


def class_names(labels: NDArray[np.int64], where: str) -> tuple[str, ...]:
    """Names of the classes 0 ... K-1, where K is the largest label + 1; at least two are needed, each with an image.

    `labels` are those of the training split.
    """
    present = np.unique(labels)
    if len(present) < 2:
        raise DataError(f"{where}: found one class only; at least two are needed")
    if present[-1] >= len(present):
        first = int(np.flatnonzero(present != np.arange(len(present)))[0])
        raise DataError(
            f"{where}: class {first} has no training image, and the greatest label is {present[-1]}; "
            "classes are counted from 0 without gaps"
        )
    return tuple(str(k) for k in range(len(present)))
