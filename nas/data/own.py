"""Data sets of a Python program: anything with a length whose items are a picture and its class, known by a name in
this process alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from typing_extensions import override

from nas.data.images import Encoded, Images, Pixels
from nas.data.source import Labelled, Source, class_names, labelled
from nas.errors import DataError

OWN = "own/"
"""How their names begin."""
SPLITS = ("train", "validation", "test")
HELD = 2**31
"""Bytes of pictures of one size that are read at once; others are asked for one by one."""
NEEDED = "a picture (PIL, or uint8 or floats in 0 ... 1, H x W, C x H x W or, of numpy, H x W x C) and its class (int)"
_SOURCES: dict[str, Source] = {}


class PictureDataset(Protocol):
    """As `torch.utils.data.Dataset` with a length: items are `NEEDED`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


OwnData = PictureDataset | Mapping[str, PictureDataset]
"""A data set that is divided here, or one for each split: train and, where there are such, validation and test."""


def is_own(name: str | None) -> bool:
    """Whether a name is that of a program's own data."""
    return name is not None and name.startswith(OWN)


def own_source(name: str) -> Source:
    """The data of that name. Raises `DataError` where this process knows none."""
    if name not in _SOURCES:
        raise DataError(
            f"data.name: '{name}' are data of a Python program; only there, where they are handed to "
            "nas.Study(data=...), can their run go on"
        )
    return _SOURCES[name]


def own_name(data: OwnData, name: str) -> str:
    """A name for the data, by which studies of this process find them: what they are called, how many, which classes.

    Raises `DataError` for what is no data set of pictures with classes.
    """
    parts = dict(data) if isinstance(data, Mapping) else {"train": data}
    if "train" not in parts or set(parts) - set(SPLITS):
        raise DataError(f"data: found the splits {', '.join(map(str, parts))}; allowed: train, and validation and test")
    splits = {split: _labelled(part, split) for split, part in parts.items()}
    digest = hashlib.sha256()
    for split, part in splits.items():
        digest.update(split.encode() + part.labels.astype("<i8").tobytes())
    named = f"{OWN}{name}-{digest.hexdigest()[:12]}"
    classes = _classes(parts["train"], splits["train"].labels)
    _SOURCES[named] = Source(name, classes, splits["train"], splits.get("validation"), splits.get("test"))
    return named


def _labelled(part: PictureDataset, split: str) -> Labelled:
    if not len(part):
        raise DataError(f"data: {split} has no pictures")
    first = _pixels(_item(part, 0, split)[0], split)
    known = _known_labels(part)
    if first.nbytes * len(part) > HELD:
        labels = known if known is not None else [_item(part, index, split)[1] for index in range(len(part))]
        return labelled(Asked(part, split), labels, f"data ({split})")
    items = (_item(part, index, split) for index in range(len(part)))
    pixels, classes = zip(*((_pixels(picture, split), label) for picture, label in items), strict=True)
    return labelled(_images(pixels, part, split), classes, f"data ({split})")


def _images(pixels: Sequence[NDArray[np.uint8]], part: PictureDataset, split: str) -> Images:
    """In one array where they are of one size."""
    if len({array.shape for array in pixels}) == 1:
        return Pixels(np.stack(pixels))
    return Asked(part, split)


def _item(part: PictureDataset, index: int, split: str) -> tuple[Any, int]:
    item = part[index]
    if not isinstance(item, tuple | list) or len(item) != 2 or not isinstance(item[1], int | np.integer | Tensor):
        raise DataError(f"data: item {index} of {split} is no pair; needed: {NEEDED}")
    return item[0], int(item[1])


def _known_labels(part: PictureDataset) -> Any:
    """All classes at once, where the data set has them, as those of torchvision do."""
    targets = getattr(part, "targets", None)
    return targets if targets is not None and len(targets) == len(part) else None


def _classes(train: PictureDataset, labels: NDArray[np.int64]) -> tuple[str, ...]:
    numbered = class_names(labels, "data")
    names = getattr(train, "classes", None)
    return tuple(map(str, names)) if isinstance(names, list | tuple) and len(names) == len(numbered) else numbered


def _pixels(picture: Any, split: str) -> NDArray[np.uint8]:
    """A picture as bytes, H x W of a grey one, else H x W x 3."""
    if isinstance(picture, Image.Image):
        return np.asarray(picture if picture.mode in ("L", "RGB") else picture.convert("RGB"))
    if isinstance(picture, Tensor):
        array = picture.detach().cpu().numpy()
        array = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
    else:
        array = np.asarray(picture)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise DataError(f"data: a picture of {split} is of shape {array.shape}; needed: {NEEDED}")
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if not np.issubdtype(array.dtype, np.floating) or array.min() < 0 or array.max() > 1:
        raise DataError(
            f"data: a picture of {split} has {array.dtype} from {array.min():g} to {array.max():g}: pictures are "
            f"normalised, and varied, by the study; needed: {NEEDED}"
        )
    return np.round(array * 255).astype(np.uint8)


@final
@dataclass(frozen=True)
class Asked(Encoded):
    """Pictures that a data set is asked for one by one; grey ones become RGB."""

    part: PictureDataset
    split: str

    def __len__(self) -> int:
        return len(self.part)

    @override
    def name(self, index: int) -> str:
        return f"item {index} of {self.split}"

    @override
    def opened(self, index: int) -> Image.Image:
        return Image.fromarray(_pixels(_item(self.part, index, self.split)[0], self.split))
