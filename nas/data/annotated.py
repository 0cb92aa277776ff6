"""Sets of annotated pictures: what their readers find, checked and put into columns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from typing_extensions import override

from nas import words
from nas.data.images import Encoded
from nas.data.listed import InFolders
from nas.data.listing import Container, Entries, EntriesBuilder, Listing
from nas.data.objects import MOST, Objects
from nas.data.outlines import ObjectOutline, Polygons
from nas.data.source import Labelled, Source
from nas.errors import DataError
from nas.tasks import RunLengths


@final
class FoundObject(NamedTuple):
    """An object as an annotation has it: left, top, right, bottom in pixels, wherever that is; `area` is None where
    nobody says it.
    """

    label: int
    box: tuple[float, float, float, float]
    crowd: bool = False
    area: float | None = None
    outline: ObjectOutline | None = None


@final
class FoundPicture(NamedTuple):
    """A picture: position of its folder among the containers, name of its file there, bytes, what the set calls it,
    height and width in pixels, and its objects.
    """

    container: int
    name: str
    size: int
    id: int
    height: int
    width: int
    objects: Sequence[FoundObject]


@final
@dataclass(frozen=True, eq=False)
class AnnotatedSet:
    """All of a set. `category_ids` are what its files call the classes, where they number them."""

    name: str
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    containers: tuple[Container, ...]
    splits: Mapping[str, tuple[Entries, Objects]]
    notes: tuple[str, ...]

    def listing(self, question: str) -> Listing:
        """The pictures, without their objects, of which there is a checksum."""
        return Listing(
            kind="folder",
            name=self.name,
            classes=self.classes,
            containers=self.containers,
            splits={role: entries for role, (entries, _) in self.splits.items()},
            notes=self.notes,
            question=question,
            objects=self._checksum(),
        )

    def source(self, root: Path) -> Source:
        """The set whose pictures lie below `root`."""
        splits = {
            role: Labelled(
                _OfKnownSize(InFolders(root, self.containers, entries), objects.sizes),
                np.zeros(len(entries), np.int64),
                objects,
            )
            for role, (entries, objects) in self.splits.items()
        }
        return Source(
            self.name, self.classes, splits["train"], splits.get("validation"), splits.get("test"), self.notes,
            self.category_ids,
        )  # fmt: skip

    def _checksum(self) -> str:
        digest = hashlib.sha256(repr(self.category_ids).encode())
        for _, objects in self.splits.values():
            columns = (objects.starts, objects.boxes, objects.labels, objects.crowd, objects.areas, objects.ids)
            for column in (*columns, objects.sizes):
                digest.update(column.tobytes())
            for outline in objects.outlines or ():
                plain = outline._replace(counts=outline.counts.tolist()) if isinstance(outline, RunLengths) else outline
                digest.update(repr(tuple(plain)).encode())
        return digest.hexdigest()


@final
@dataclass(frozen=True, eq=False)
class _OfKnownSize(Encoded):
    """Pictures whose annotations say how large they are: `sizes` (N x 2, height and width)."""

    pictures: InFolders
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pictures)

    @override
    def name(self, index: int) -> str:
        return self.pictures.name(index)

    @override
    def opened(self, index: int) -> Image.Image:
        picture = self.pictures.opened(index)
        height, width = self.sizes[index].tolist()
        if picture.size != (width, height):
            picture.close()
            raise DataError(
                f"it is {picture.height} x {picture.width} pixels, and its annotations are of {height} x {width}"
            )
        # Boxes are of the pixels as they lie there: however the camera was held, nothing is turned.
        picture.getexif()[ExifTags.Base.Orientation] = 1
        return picture


def assembled(
    name: str,
    classes: Sequence[str],
    category_ids: Sequence[int],
    containers: Sequence[Container],
    splits: Mapping[str, Sequence[FoundPicture]],
) -> AnnotatedSet:
    """The set. Without a test split, the validation split serves as it, as of folders. Raises `DataError` for a split
    without pictures, and for a picture with too many objects.
    """
    roles = dict(splits)
    if "validation" in roles and "test" not in roles:
        roles["test"] = roles.pop("validation")
    notes: list[str] = []
    for role, pictures in roles.items():
        if not pictures:
            raise DataError(f"{name}: {role} has no pictures")
        for picture in pictures:
            if len(picture.objects) > MOST:
                raise DataError(
                    f"{name}: {picture.name} has {len(picture.objects):,} objects, more than the {MOST:,} of a picture"
                )
    outlined = any(thing.outline is not None for of in roles.values() for one in of for thing in one.objects)
    columns = {role: _columns(role, pictures, outlined, notes) for role, pictures in roles.items()}
    if not len(columns["train"][1].labels):
        raise DataError(f"{name}: none of the training pictures has an object")
    lacking = sorted(set(range(len(classes))) - set(columns["train"][1].labels.tolist()))
    if lacking:
        named = words.some([classes[k] for k in lacking])
        notes.append(f"train has no object of {len(lacking)} of the {len(classes)} classes: {named}")
    return AnnotatedSet(name, tuple(classes), tuple(category_ids), tuple(containers), columns, tuple(notes))


def _columns(role: str, pictures: Sequence[FoundPicture], outlined: bool, notes: list[str]) -> tuple[Entries, Objects]:
    """One split. Boxes end where their picture ends; what then has no area is left out, and noted."""
    entries = EntriesBuilder()
    kept: list[FoundObject] = []
    counts, flat, bare = [0], 0, 0
    for picture in pictures:
        entries.add(picture.container, picture.name, 0, size=picture.size)
        for thing in picture.objects:
            left, top, right, bottom = thing.box
            box = (max(left, 0), max(top, 0), min(right, picture.width), min(bottom, picture.height))
            if box[2] <= box[0] or box[3] <= box[1]:
                flat += 1
                continue
            bare += thing.outline is None
            area = thing.area or (box[2] - box[0]) * (box[3] - box[1])
            kept.append(thing._replace(box=box, area=area))
        counts.append(len(kept))
    if flat:
        notes.append(f"{role}: left out, since they have no area inside of their pictures: {flat} boxes")
    if outlined and bare:
        notes.append(f"{role}: {bare} objects have no mask; nothing of them is in one")
    nothing = Polygons(())
    return entries.entries(), Objects(
        starts=np.array(counts, np.int64),
        boxes=np.array([thing.box for thing in kept], np.float64).reshape(-1, 4),
        labels=np.array([thing.label for thing in kept], np.int64),
        crowd=np.array([thing.crowd for thing in kept], np.bool_),
        areas=np.array([thing.area for thing in kept], np.float64),
        ids=np.array([picture.id for picture in pictures], np.int64),
        sizes=np.array([(picture.height, picture.width) for picture in pictures], np.int64).reshape(-1, 2),
        outlines=[thing.outline or nothing for thing in kept] if outlined else None,
    )
