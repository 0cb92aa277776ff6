"""Pictures in class folders: PATH/train/CLASS/*.jpg with PATH/test or PATH/val beside it, or PATH/CLASS/*.jpg alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from nas.data.decoding import ENDINGS
from nas.data.images import Pictures
from nas.data.readers import _split_folders
from nas.data.readers._walk import files, folders
from nas.data.source import Labelled, Source, labelled
from nas.data.spec import Classes, SplitFolders
from nas.errors import DataError


def read(path: Path, split_folders: SplitFolders = "auto", classes: Classes = "same") -> Source:
    """Finds the pictures; decodes none. For the options see `nas.data.spec.DataSpec`.

    With train/, val/ and test/ each is what it says. With train/ and val/ only, val/ is the test split, as ImageNet is
    used, and the search-validation split is carved from train/ like everywhere else.

    Raises `DataError` where folders may be meant in two ways, and says how to answer.
    """
    roles = _split_folders.of(path) if split_folders == "auto" else {}
    if not roles:
        names = _classes(path)
        split, seen = _split(path, names)
        return Source(path.name, names, split, notes=_left_out(path, seen))
    names = _classes(roles["train"])
    if "test" not in roles:
        roles = {"train": roles["train"], "test": roles["validation"]}
    splits: dict[str, Labelled] = {}
    beside = [name for name in folders(path) if path / name not in roles.values()]
    notes = [f"{path.name}: left out, beside the splits: {', '.join(beside[:5])}"] if beside else []
    every: list[Path] = []
    for role, folder in roles.items():
        if role != "train":
            notes += _compared(folder, names, classes)
        splits[role], seen = _split(folder, names)
        every += seen
    return Source(
        path.name,
        names,
        splits["train"],
        splits.get("validation"),
        splits["test"],
        notes=(*notes, *_left_out(path, [*every, *files(path, deep=False)])),
    )


def _classes(path: Path) -> tuple[str, ...]:
    classes = tuple(folders(path))
    if len(classes) < 2:
        raise DataError(f"{path}: found {len(classes)} class folders; at least two are needed, each with its pictures")
    return classes


def _compared(path: Path, names: tuple[str, ...], classes: Classes) -> list[str]:
    """Notes on the classes that a split has and train has not, or the other way round. Raises `DataError` unless the
    study says that train's count.
    """
    own = folders(path)
    foreign, lacking = (sorted(set(a) - set(b)) for a, b in ((own, names), (names, own)))
    found = [
        f"{what} {', '.join(some[:5])}{', ...' if len(some) > 5 else ''}"
        for what, some in (("class folders that train/ lacks:", foreign), ("no folder for the classes", lacking))
        if some
    ]
    if found and classes == "same":
        raise DataError(
            f"{path}: {'; '.join(found)}; every split must have the same classes. Mend the folders, or let those of "
            "train/ count, and leave out what is foreign: data.classes: train"
        )
    return [f"{path.name}/: {'; '.join(found)}"] if found else []


def _split(path: Path, classes: tuple[str, ...]) -> tuple[Labelled, list[Path]]:
    """The pictures of one split, and all files that were looked at."""
    pictures, labels, seen = [], [], files(path, deep=False)
    for k, name in enumerate(classes):
        of_class = files(path / name) if (path / name).is_dir() else []
        pictures_of_class = [file for file in of_class if file.suffix.lower() in ENDINGS]
        pictures += pictures_of_class
        labels += [k] * len(pictures_of_class)
        seen += [file for file in of_class if file.suffix.lower() not in ENDINGS]
    if not pictures:
        raise DataError(f"{path}: no pictures in its class folders; known endings: {', '.join(sorted(ENDINGS))}")
    return labelled(Pictures(pictures), np.array(labels), str(path)), seen


def _left_out(path: Path, seen: Iterable[Path]) -> tuple[str, ...]:
    """A note on files that were not read: other endings, or pictures that lie in no class folder."""
    endings = Counter(file.suffix.lower() or "no ending" for file in seen)
    if not endings:
        return ()
    named = ", ".join(f"{ending} ({count})" for ending, count in endings.most_common(8))
    more = ", ..." if len(endings) > 8 else ""
    return (f"{path.name}: left out, being no pictures, or in no class folder: {named}{more}",)
