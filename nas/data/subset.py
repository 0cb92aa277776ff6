"""Some of the classes of a data set, in the order in which they are named, as timm's class maps do it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, final

import numpy as np
from pydantic import AfterValidator, Field
from typing_extensions import override

from nas import words
from nas.data.lines import lines_of
from nas.data.source import Labelled, Source, check_range
from nas.documents.lookup import Lookup
from nas.documents.markers import Located
from nas.errors import DataError, nearest

POLICIES = ("same", "train")
"""What `classes` may say of all classes, see `nas.data.spec.DataSpec`."""
_FIRST = re.compile(r"first ([1-9]\d{0,8})")


def _texts(names: tuple[str | int, ...]) -> tuple[str, ...]:
    texts = tuple(map(str, names))
    if len(set(texts)) < len(texts):
        raise ValueError("each class once")
    return texts


Names = Annotated[tuple[str | int, ...], Field(min_length=2), AfterValidator(_texts)]
"""Names of classes; numbers of sets whose classes have no names."""


@final
@dataclass(frozen=True)
class ClassFile(Located):
    """A file with names of classes, unless it is one of the words that may stand in its place."""

    @override
    def locate(self, text: str, lookup: Lookup) -> str:
        path = None if text in POLICIES or _FIRST.fullmatch(text) else lookup.find(text)
        return text if path is None else str(path.resolve())


def subset(source: Source, classes: str | Sequence[str | int]) -> Source:
    """The set with the classes that are asked for alone; the images of others stay where they are, without a label (see
    `Labelled.indices`). Raises `DataError` for classes that it has not, and for a file that cannot be read.
    """
    if classes in POLICIES:
        return source
    if source.train.objects is not None:
        return _objects_of(source, _wanted(source.classes, classes))
    check_range(source)
    names = _wanted(source.classes, classes)
    numbers = np.full(len(source.classes), Labelled.LEFT_OUT)
    numbers[[source.classes.index(name) for name in names]] = np.arange(len(names))
    splits = {role: replace(split, labels=numbers[split.labels]) for role, split in source.splits.items()}
    for role, split in splits.items():
        if not len(split.indices):
            raise DataError(f"{source.name}: {role} has no image of the classes that data.classes names")
    return Source(source.name, names, splits["train"], splits.get("validation"), splits.get("test"), source.notes)


def _objects_of(source: Source, names: tuple[str, ...]) -> Source:
    """All pictures, and of their objects those of these classes."""
    numbers = [source.classes.index(name) for name in names]
    renumbered = {old: new for new, old in enumerate(numbers)}
    splits = {
        role: replace(split, objects=None if split.objects is None else split.objects.of_classes(renumbered))
        for role, split in source.splits.items()
    }
    return Source(
        source.name, names, splits["train"], splits.get("validation"), splits.get("test"), source.notes,
        tuple(source.category_ids[number] for number in numbers),
    )  # fmt: skip


def _wanted(there: Sequence[str], classes: str | Sequence[str | int]) -> tuple[str, ...]:
    if not isinstance(classes, str):
        names = [str(name) for name in classes]
    elif first := _FIRST.fullmatch(classes):
        count = int(first[1])
        if not 2 <= count <= len(there):
            raise DataError(f"data.classes: {classes}; there are {len(there)}; allowed: 2 to {len(there)}")
        names = list(there[:count])
    else:
        names = _of_file(Path(classes).expanduser(), there)
    lacking = [name for name in names if name not in there]
    if lacking:
        raise DataError(
            f"data.classes: {len(lacking)} are no classes of the set: {words.some(lacking)}"
            f"{nearest(lacking[0], there)}; it has {len(there)}: {words.some(there)}"
        )
    if len(set(names)) < max(2, len(names)):
        raise DataError("data.classes: at least two classes are needed, each of them once")
    return tuple(names)


def _of_file(path: Path, there: Sequence[str]) -> list[str]:
    """A class a line: its name, or what begins with it (n01440764 tench, Tinca tinca)."""
    lines = lines_of(
        path,
        f"data.classes: {str(path)[:200]!r}",  # any text may stand there
        "same, train, first N, a list of names, or a file with a name a line",
    )
    return [line if line in there else line.split()[0] for line in lines]
