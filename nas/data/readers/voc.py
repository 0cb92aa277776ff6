"""Pictures with boxes in Pascal VOC's layout: Annotations/*.xml, JPEGImages/ and ImageSets/Main/train.txt ..., here or
below VOCdevkit/VOC2012/, where torchvision's VOCDetection has them.

Numbers are taken as they stand: VOC counted pixels from 1, what writes such files today counts from 0. An object that
is marked as difficult counts as a crowd: it is neither learned nor missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from xml.parsers import expat

from nas import words
from nas.data.annotated import AnnotatedSet, FoundObject, FoundPicture, assembled
from nas.data.decoding import ENDINGS
from nas.data.readers._split_folders import ROLES
from nas.data.readers._walk import File, Walk
from nas.errors import DataError
from nas.foreign import line

ANNOTATIONS, PICTURES, LISTS = "Annotations", "JPEGImages", "ImageSets/Main"
YEARS = "VOCdevkit/VOC[0-9]*"
LARGEST = 2**22
"""Bytes of one annotation."""
LARGEST_SIDE = 100_000
"""Pixels of a picture's side."""


class _Described(NamedTuple):
    """What a file says of a picture: height, width, and name, box and difficulty of each object."""

    height: int
    width: int
    objects: Sequence[tuple[str, tuple[float, float, float, float], bool]]


def home(path: Path) -> Path:
    """The folder of a set that lies below VOCdevkit/, else `path` itself. Raises `DataError` where several do."""
    years = sorted(folder for folder in path.glob(YEARS) if folder.is_dir())
    if len(years) > 1:
        raise DataError(
            f"{path}: found {words.some([year.name for year in years])} in VOCdevkit; say which: data.path: {years[-1]}"
        )
    return years[0] if years else path


def is_one(walk: Walk) -> bool:
    """Whether a set has this layout."""
    return {ANNOTATIONS, PICTURES} <= set(walk.folders(""))


def annotated(walk: Walk) -> AnnotatedSet:
    """The set. Classes are the names that occur in training, sorted. Raises `DataError` for what is missing, damaged,
    or does not hold together.
    """
    pictures = {Path(file.name).stem: file for file in walk.files(PICTURES, deep=False) if file.ending in ENDINGS}
    stems = _splits(walk)
    described = {
        stem: _described(walk.root / ANNOTATIONS / f"{stem}.xml") for of_split in stems.values() for stem in of_split
    }
    classes = sorted({name for stem in stems["train"] for name, _, _ in described[stem].objects})
    numbers = {name: number for number, name in enumerate(classes)}
    identities = {stem: number for number, stem in enumerate(sorted(described), start=1)}
    splits = {
        role: [
            _picture(walk, stem, identities[stem], pictures.get(stem), described[stem], numbers) for stem in of_split
        ]
        for role, of_split in stems.items()
    }
    return assembled(walk.root.name, classes, range(1, len(classes) + 1), walk.containers, splits)


def _splits(walk: Walk) -> dict[str, list[str]]:
    """Split -> names of its pictures; without lists, all of them are training pictures."""
    folder = PurePosixPath(LISTS)
    there = folder.parent.name in walk.folders("") and folder.name in walk.folders(folder.parent.name)
    lists = {
        ROLES[stem]: file
        for file in (walk.files(LISTS, deep=False) if there else [])
        if file.ending == ".txt" and (stem := Path(file.name).stem.lower()) in ROLES
    }
    if not lists:
        described = (file for file in walk.files(ANNOTATIONS, deep=False) if file.ending == ".xml")
        return {"train": [Path(file.name).stem for file in described]}
    if "train" not in lists:
        found = " and ".join(file.name for file in lists.values())
        raise DataError(f"{walk.root / LISTS}: found {found}, and no train.txt")
    return {role: _names(walk, lists[role]) for role in ("train", "validation", "test") if role in lists}


def _names(walk: Walk, file: File) -> list[str]:
    path = walk.root / file.path
    walk.position(file.path)  # noted before it is read
    try:
        names = [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as fault:
        raise DataError(f"{path}: cannot be read ({getattr(fault, 'strerror', None) or fault})") from None
    for name in names:
        if "/" in name or name in (".", "..") or "\0" in name:
            raise DataError(f"{path}: a picture called {name[:100]!r}; allowed: names without folders and endings")
    return names


def _picture(
    walk: Walk, stem: str, identity: int, file: File | None, said: _Described, numbers: Mapping[str, int]
) -> FoundPicture:
    foreign = next((name for name, _, _ in said.objects if name not in numbers), None)
    if foreign is not None:
        raise DataError(
            f"{walk.root / ANNOTATIONS / stem}.xml: an object of the class '{line(foreign, 60)}', which no "
            "training picture has"
        )
    if file is None:
        raise DataError(f"{walk.root / ANNOTATIONS / stem}.xml: there is no picture {stem} in {PICTURES}/")
    objects = [FoundObject(numbers[name], box, crowd=difficult) for name, box, difficult in said.objects]
    return FoundPicture(walk.position(file.folder), file.name, file.size, identity, said.height, said.width, objects)


def _described(path: Path) -> _Described:
    """What one file says. Raises `DataError` for a file that is missing or damaged."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as fault:
        raise DataError(f"{path}: cannot be read ({fault.strerror or fault})") from None
    if len(content) > LARGEST:
        raise DataError(f"{path}: has more than {LARGEST:,} bytes")
    reader = _Reader()
    try:
        reader.read(content)
        return reader.described
    except expat.ExpatError as fault:
        raise DataError(f"{path}: no XML ({fault})") from None
    except (ValueError, KeyError) as fault:
        raise DataError(f"{path}: {fault.args[0] if fault.args else fault}") from None


class _Reader:
    """Reads a file element by element. A document type is refused, so that there are no entities to expand."""

    def __init__(self) -> None:
        self.size: dict[str, str] = {}
        self.objects: list[dict[str, str]] = []
        self._path: list[str] = []
        self._text = ""

    def read(self, content: bytes) -> None:
        """All of a file. Raises `ExpatError`, and `ValueError` for a document type."""
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.Parse(content, True)

    def _doctype(self, *_: object) -> None:
        raise ValueError("a document type is declared in it, which annotations need not")

    def _start(self, tag: str, _: object) -> None:
        self._path.append(tag)
        self._text = ""
        if self._path[1:] == ["object"]:
            self.objects.append({})

    def _characters(self, text: str) -> None:
        self._text += text

    def _end(self, tag: str) -> None:
        match self._path[1:]:
            case ["size", _]:
                self.size[tag] = self._text.strip()
            case ["object", ("name" | "difficult")] | ["object", "bndbox", _]:
                self.objects[-1][tag] = self._text.strip()
        self._path.pop()
        self._text = ""

    @property
    def described(self) -> _Described:
        """What was read. Raises `ValueError` for what is missing, or no number."""
        height, width = (int(_number(self.size, "size", key)) for key in ("height", "width"))
        if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
            raise ValueError(f"a picture of {height} x {width} pixels")
        objects = []
        for position, thing in enumerate(self.objects):
            if "name" not in thing:
                raise ValueError(f"object {position} has no name")
            left, top, right, bottom = (
                _number(thing, f"object {position}", key) for key in ("xmin", "ymin", "xmax", "ymax")
            )
            objects.append((thing["name"], (left, top, right, bottom), thing.get("difficult") == "1"))
        return _Described(height, width, objects)


def _number(values: Mapping[str, str], where: str, key: str) -> float:
    text = values.get(key, "")
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not abs(number) < 1e9:
        raise ValueError(f"{where}: {key} is '{line(text, 30)}'; needed: a number")
    return number
