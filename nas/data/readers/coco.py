"""Pictures with boxes and masks whose annotations are JSON files in COCO's layout, one per split.

They are DIR/annotations/instances_*.json beside folders of pictures, or _annotations.coco.json in the folder of each
split; or what the study names. What a file claims is checked before it is believed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, NotRequired

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from nas import words
from nas.data.annotated import AnnotatedSet, FoundObject, FoundPicture, assembled
from nas.data.outlines import ObjectOutline, PackedRuns, Polygons
from nas.data.readers._split_folders import ROLES
from nas.data.readers._walk import Walk, joined
from nas.errors import DataError
from nas.foreign import line
from nas.tasks import RunLengths

LARGEST = 2**31
"""Bytes of an annotation file: COCO's have half a billion."""
LARGEST_SIDE = 100_000
"""Pixels of a picture's side."""
BEGINNING, BESIDE = "instances", "_annotations.coco.json"
"""How files with boxes begin, where there are others beside them (captions, keypoints); and how one is called that lies
beside its pictures.
"""

_Id = Annotated[int, Field(ge=-(2**53), le=2**53)]
_Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Picture(TypedDict):
    id: _Id
    file_name: Annotated[str, Field(min_length=1, max_length=4096)]
    height: _Side
    width: _Side


class _Runs(TypedDict):
    size: tuple[_Side, _Side]
    counts: str | list[Annotated[int, Field(ge=0, le=LARGEST_SIDE**2)]]


class _Object(TypedDict):
    image_id: _Id
    category_id: _Id
    bbox: tuple[_Finite, _Finite, _Finite, _Finite]
    area: NotRequired[Annotated[float, Field(ge=0, le=LARGEST_SIDE**2)] | None]
    iscrowd: NotRequired[Annotated[int, Field(ge=0, le=1)]]
    segmentation: NotRequired[_Runs | list[list[_Finite]] | None]


class _Category(TypedDict):
    id: _Id
    name: str


class _File(TypedDict):
    images: list[_Picture]
    annotations: list[_Object]
    categories: Annotated[list[_Category], Field(min_length=1)]


_FILE = TypeAdapter(_File)


def files(walk: Walk, said: Mapping[str, str]) -> dict[str, str]:
    """Split -> its annotation file, below the root: what is `said`, else what is found; nothing where there is none.

    Raises `DataError` where several files could be meant.
    """
    if said:
        return dict(said)
    found: dict[str, list[str]] = defaultdict(list)
    folders = walk.folders("")
    for file in walk.files("annotations", deep=False) if "annotations" in folders else []:
        role = _role(file.name)
        if role is not None and file.ending == ".json" and file.name.startswith(BEGINNING):
            found[role].append(file.path)
    for folder in folders:
        if folder.lower() in ROLES and (walk.root / folder / BESIDE).is_file():
            found[ROLES[folder.lower()]].append(joined(folder, BESIDE))
    for role, paths in found.items():
        if len(paths) > 1:
            raise DataError(
                f"{walk.root}: {words.some(paths)} could all be the annotations of {role}; say which: "
                f"data.{role if role != 'validation' else 'val'}: FILE"
            )
    return {role: found[role][0] for role in ("train", "validation", "test") if role in found}


def _role(name: str) -> str | None:
    """Which split a file is of, by a word in its name: instances_train2017.json."""
    letters = "".join(letter if letter.isalpha() else " " for letter in PurePosixPath(name).stem.lower())
    return next((ROLES[word] for word in letters.split() if word in ROLES), None)


def annotated(walk: Walk, said: Mapping[str, str]) -> AnnotatedSet:
    """The set whose annotations are these files: split -> path below the root. Raises `DataError` for what is missing,
    damaged, or does not hold together.
    """
    if "train" not in said:
        raise DataError(f"{walk.root}: annotations of {' and '.join(said)}, and none of train (data.train: FILE)")
    contents = {role: _content(walk, path) for role, path in said.items()}
    categories = {role: _categories(walk, said[role], content) for role, content in contents.items()}
    for role, known in categories.items():
        if known != categories["train"]:
            raise DataError(
                f"{walk.root}: {said[role]} has other categories than {said['train']}: {_first_other(categories, role)}"
            )
    numbers = {identity: number for number, identity in enumerate(sorted(categories["train"]))}
    splits = {role: _pictures(walk, said[role], content, numbers) for role, content in contents.items()}
    return assembled(
        walk.root.name, [categories["train"][identity] for identity in numbers], list(numbers), walk.containers, splits
    )


def _content(walk: Walk, path: str) -> _File:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise DataError(f"{walk.root}: {path[:100]!r} leads out of it; annotation files lie below data.path")
    file = walk.root / path
    if not file.is_file():
        raise DataError(f"{file}: no such file; needed: annotations in COCO's layout (JSON)")
    walk.position(path)  # noted before it is read
    try:
        if file.stat().st_size > LARGEST:
            raise DataError(f"{file}: has more than {LARGEST:,} bytes")
        return _FILE.validate_json(file.read_bytes())
    except OSError as fault:
        raise DataError(f"{file}: cannot be read ({fault.strerror or fault})") from None
    except ValidationError as wrong:
        raise DataError(f"{file}: {_sentence(wrong)}") from None


def _sentence(wrong: ValidationError) -> str:
    """The first thing that is wrong with a file."""
    first = wrong.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"no JSON ({first['msg'].removeprefix('Invalid JSON: ')})"
    place = [str(step) for step in first["loc"]]
    if "segmentation" in place:
        place = place[: place.index("segmentation") + 1]
    key = ".".join(place) or "all of it"
    if first["type"] == "missing":
        return f"{key} is missing"
    if "segmentation" in place:
        return f"{key} is neither polygons nor run lengths"
    return f"{key}: found {line(str(first['input']), 60)}; {first['msg'][:1].lower()}{first['msg'][1:]}"


def _categories(walk: Walk, path: str, content: _File) -> dict[int, str]:
    known = {category["id"]: category["name"] for category in content["categories"]}
    if len(known) < len(content["categories"]) or len(set(known.values())) < len(known):
        raise DataError(f"{walk.root / path}: two categories have the same id, or the same name")
    return known


def _first_other(categories: Mapping[str, Mapping[int, str]], role: str) -> str:
    of_train, own = categories["train"], categories[role]
    identity = min(of_train.items() ^ own.items())[0]
    here, there = (line(of.get(identity, "nothing")) for of in (own, of_train))
    return f"{identity} is {here}, and in train {there}"


def _pictures(walk: Walk, path: str, content: _File, numbers: Mapping[int, int]) -> list[FoundPicture]:
    """The pictures of one file with their objects."""
    file = walk.root / path
    pictures = {picture["id"]: picture for picture in content["images"]}
    if len(pictures) < len(content["images"]):
        raise DataError(f"{file}: two pictures have the same id")
    if not pictures:
        raise DataError(f"{file}: no pictures")
    objects: dict[int, list[FoundObject]] = defaultdict(list)
    for position, thing in enumerate(content["annotations"]):
        where = f"{file}: annotations.{position}"
        if thing["image_id"] not in pictures:
            raise DataError(f"{where} is of picture {thing['image_id']}, which is not among the file's images")
        if thing["category_id"] not in numbers:
            known = words.some([str(identity) for identity in numbers])
            raise DataError(f"{where} has the category {thing['category_id']}; the file's categories are {known}")
        objects[thing["image_id"]].append(_object(where, thing, pictures[thing["image_id"]], numbers))
    folder, sizes = _folder(walk, path, content["images"])
    found = []
    for identity, picture in pictures.items():
        name = PurePosixPath(picture["file_name"])
        container = walk.position(_parent(joined(folder, str(name))))
        size = sizes.get(joined(folder, str(name)), -1)
        found.append(
            FoundPicture(
                container, name.name, size, identity, picture["height"], picture["width"], objects.get(identity, ())
            )
        )
    return found


def _object(where: str, thing: _Object, picture: _Picture, numbers: Mapping[int, int]) -> FoundObject:
    left, top, width, height = thing["bbox"]
    return FoundObject(
        numbers[thing["category_id"]],
        (left, top, left + width, top + height),
        bool(thing.get("iscrowd", 0)),
        thing.get("area"),
        _outline(where, thing.get("segmentation"), picture),
    )


def _outline(where: str, said: Any, picture: _Picture) -> ObjectOutline | None:
    """A mask, None where there is none. Raises `DataError` for one that is not of its picture."""
    height, width = picture["height"], picture["width"]
    if not said:
        return None
    if isinstance(said, list):
        corners = tuple(tuple(polygon) for polygon in said if len(polygon) >= 6)
        if any(len(polygon) % 2 for polygon in corners):
            raise DataError(f"{where}.segmentation: a polygon of an odd number of coordinates")
        farthest = max((max(map(abs, polygon)) for polygon in corners), default=0)
        if farthest > 2 * max(height, width):
            raise DataError(f"{where}.segmentation: a corner at {farthest:g}, far outside of {height} x {width} pixels")
        return Polygons(corners)
    if tuple(said["size"]) != (height, width):
        found = " x ".join(map(str, said["size"]))
        raise DataError(f"{where}.segmentation: a mask of {found} pixels in a picture of {height} x {width}")
    counts = said["counts"]
    if isinstance(counts, str):
        if not counts.isascii():
            raise DataError(f"{where}.segmentation: run lengths of letters that COCO does not use")
        return PackedRuns(height, width, counts)
    if sum(counts) != height * width:
        raise DataError(f"{where}.segmentation: run lengths of {sum(counts)} pixels, the picture has {height * width}")
    return RunLengths(height, width, np.array(counts, np.uint32))


def _folder(walk: Walk, path: str, pictures: Sequence[_Picture]) -> tuple[str, dict[str, int]]:
    """The folder that the files' names are below, and the files there with their bytes."""
    for picture in pictures:
        name = PurePosixPath(picture["file_name"])
        if name.is_absolute() or ".." in name.parts or "\0" in str(name) or not name.name:
            raise DataError(f"{walk.root / path}: a picture called {str(name)[:100]!r}, which leads out of the set")
    first = str(PurePosixPath(pictures[0]["file_name"]))
    stem = PurePosixPath(path).stem.removeprefix("instances_")
    role = _role(path) or ""
    alike = [name for name in walk.folders("") if ROLES.get(name.lower()) == role]
    candidates = [f"images/{stem}", stem, *alike, "images", _parent(path), ""]
    for folder in candidates:
        if (walk.root / folder / first).is_file():
            return folder, {file.path: file.size for file in walk.files(folder)}
    looked = ", ".join(folder or "." for folder in dict.fromkeys(candidates))
    raise DataError(f"{walk.root}: {first}, the first picture of {path}, is in none of the folders {looked}")


def _parent(path: str) -> str:
    parent = str(PurePosixPath(path).parent)
    return "" if parent == "." else parent
