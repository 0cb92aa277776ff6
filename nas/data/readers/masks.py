"""Pictures with masks, for semantic segmentation: images/train/x.jpg and masks/train/x.png, likewise val and test.

A mask has the size of its picture, and its pixels are numbers of classes: grey values, or those of a palette; 255 is
of no class. classes.txt in the root names the classes, a line each, number 0 first; without it their numbers are their
names. What a picture has of a class is one object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from nas import words
from nas.data import decoding
from nas.data.annotated import AnnotatedSet, FoundObject, FoundPicture, assembled
from nas.data.images import reason
from nas.data.readers._split_folders import ROLES
from nas.data.readers._walk import File, Walk, joined
from nas.errors import DataError
from nas.tasks import encoded

PICTURES, MASKS, NAMES = "images", "masks", "classes.txt"
NO_CLASS = 255
LARGEST = 2**20
"""Bytes of classes.txt."""
GREY = ("L", "P", "1")
"""Kinds of pictures whose pixels are single numbers of at most 8 bits."""


def is_one(walk: Walk) -> bool:
    """Whether a set has this layout."""
    return {PICTURES, MASKS} <= set(walk.folders(""))


def annotated(walk: Walk) -> AnnotatedSet:
    """The set; without folders of splits, all are training pictures. Raises `DataError` for what is missing, damaged,
    or does not hold together.
    """
    splits: dict[str, list[FoundPicture]] = {}
    for role, folder in _folders(walk).items():
        before = sum(map(len, splits.values()))
        splits[role] = [
            _picture(walk, picture, mask, number) for number, (picture, mask) in enumerate(_pairs(walk, folder), before)
        ]
    classes = _classes(walk, splits)
    return assembled(walk.root.name, classes, range(len(classes)), walk.containers, splits)


def _folders(walk: Walk) -> dict[str, str]:
    """Split -> the folder below images/ and masks/."""
    names = [name for name in walk.folders(PICTURES) if name.lower() in ROLES]
    if not names:
        return {"train": ""}
    roles = [ROLES[name.lower()] for name in names]
    if "train" not in roles or len(set(roles)) < len(roles):
        raise DataError(f"{walk.root / PICTURES}: found {words.some(names)}; needed: train, and each split once")
    return {role: names[roles.index(role)] for role in ("train", "validation", "test") if role in roles}


def _pairs(walk: Walk, folder: str) -> list[tuple[File, File]]:
    """Each picture of a folder, with its mask."""
    places = [joined(kind, folder) if folder else kind for kind in (PICTURES, MASKS)]
    lacking = [place for place in places if PurePosixPath(place).name not in walk.folders(str(_above(place)))]
    if lacking:
        raise DataError(f"{walk.root / lacking[0]}: there is no such folder")
    pictures, masks = (
        {str(PurePosixPath(file.path).relative_to(place).with_suffix("")): file
         for file in walk.files(place) if file.ending in decoding.ENDINGS}
        for place in places
    )  # fmt: skip
    for these, those, what in ((pictures, masks, "mask"), (masks, pictures, "picture")):
        alone = [file.path for stem, file in these.items() if stem not in those]
        if alone:
            raise DataError(f"{walk.root}: without a {what}: {words.some(alone)}")
    return [(picture, masks[stem]) for stem, picture in pictures.items()]


def _above(place: str) -> str:
    parent = str(PurePosixPath(place).parent)
    return "" if parent == "." else parent


def _mask(path: Path) -> NDArray[np.uint8]:
    """The numbers in a mask, H x W. Raises `DataError`."""
    try:
        with decoding.opened(path) as picture:
            if picture.mode not in GREY:
                raise DataError(f"its pixels are of the kind {picture.mode}; allowed: grey or a palette, of 8 bits")
            picture.load()
            return np.asarray(picture).astype(np.uint8)
    except Exception as fault:  # on damaged files PIL's readers raise anything
        raise DataError(f"{path}: no mask ({reason(fault)})") from None


def _classes(walk: Walk, splits: Mapping[str, Sequence[FoundPicture]]) -> list[str]:
    """Names of the classes. Raises `DataError` where a mask has a number beyond them."""
    greatest = {
        role: max((thing.label for picture in pictures for thing in picture.objects), default=-1)
        for role, pictures in splits.items()
    }
    if greatest["train"] < 0:
        return []  # a set without pictures, or without objects, is refused as such
    if any(file.name == NAMES for file in walk.files("", deep=False)):
        names, where = _names(walk), f"{NAMES} names"
    else:
        names, where = [str(number) for number in range(greatest["train"] + 1)], "the training masks know"
    for role, number in greatest.items():
        if number >= len(names):
            raise DataError(
                f"{walk.root}: a mask of {role} has the number {number}, and {where} {len(names)} classes; "
                f"allowed: 0 to {len(names) - 1}, and {NO_CLASS} for none"
            )
    return names


def _names(walk: Walk) -> list[str]:
    path = walk.root / NAMES
    walk.position(NAMES)  # noted before it is read
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: has more than {LARGEST:,} bytes")
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as fault:
        raise DataError(f"{path}: cannot be read ({getattr(fault, 'strerror', None) or fault})") from None
    if len(set(names)) < len(names) or not names:
        raise DataError(f"{path}: found {len(names)} names, {len(set(names))} different ones; needed: each class once")
    return names


def _picture(walk: Walk, file: File, mask_file: File, identity: int) -> FoundPicture:
    mask = _mask(walk.root / mask_file.path)
    height, width = mask.shape
    objects = []
    for number in np.unique(mask[mask != NO_CLASS]).tolist():
        there = mask == number
        rows, columns = (np.flatnonzero(there.any(axis)) for axis in (1, 0))
        box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
        objects.append(FoundObject(number, box, area=float(there.sum()), outline=encoded(there)))
    return FoundPicture(walk.position(file.folder), file.name, file.size, identity, height, width, objects)
