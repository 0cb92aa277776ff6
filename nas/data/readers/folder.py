"""Pictures in class folders: PATH/train/CLASS/*.jpg with PATH/test or PATH/val beside it, or PATH/CLASS/*.jpg alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from nas import words
from nas.data.decoding import ENDINGS
from nas.data.listing import EntriesBuilder, Listing
from nas.data.readers import _flat, _split_folders
from nas.data.readers._walk import File, Walk, joined
from nas.data.spec import DataSpec
from nas.errors import DataError


def listing(walk: Walk, spec: DataSpec) -> Listing:
    """Finds the pictures; decodes none. For the options see `nas.data.spec.DataSpec`.

    With train/, val/ and test/ each is what it says. With train/ and val/ only, val/ is the test split, as ImageNet is
    used, and the search-validation split is carved from train/ like everywhere else.

    Raises `DataError` where folders may be meant in two ways, and says how to answer.
    """
    name = walk.root.name
    roles = _split_folders.of(walk) if spec.split_folders == "auto" else {}
    beside = [folder for folder in walk.folders("") if roles and folder not in roles.values()]
    notes = [f"{name}: left out, beside the splits: {', '.join(beside[:5])}"] if beside else []
    left_out = walk.files("", deep=False) if roles else []
    roles = roles or {"train": ""}
    classes = _classes(walk, roles["train"])
    flat = _flat.folders(walk, roles, classes, spec)
    notes += [f"{name}: left out, since nothing says its classes: {roles[role]}" for role in flat if flat[role] is None]
    roles = {role: folder for role, folder in roles.items() if flat.get(role, folder) is not None}
    splits: dict[str, EntriesBuilder] = {}
    for role, folder in roles.items():
        if (labels := flat.get(role)) is not None:
            splits[role], others, more = _flat.split(walk, folder, classes, labels, spec.on_error)
            notes += more
        else:
            if role != "train":
                notes += _compared(walk, folder, classes, spec)
            splits[role], others = _split(walk, folder, classes)
        left_out += others
    if "validation" in splits and "test" not in splits:
        splits["test"] = splits.pop("validation")
    return Listing(
        kind="folder",
        name=name,
        classes=classes,
        containers=walk.containers,
        splits={role: pictures.entries() for role, pictures in splits.items()},
        notes=(*notes, *_left_out(name, left_out)),
        question=spec.question,
    )


def _classes(walk: Walk, folder: str) -> tuple[str, ...]:
    classes = tuple(walk.folders(folder))
    if len(classes) < 2:
        raise DataError(
            f"{walk.root / folder}: found {len(classes)} class folders; at least two are needed, each with its pictures"
        )
    return classes


def _compared(walk: Walk, folder: str, classes: tuple[str, ...], spec: DataSpec) -> list[str]:
    """Notes on the classes that a split has and train has not, or the other way round. Raises `DataError` unless the
    study says that train's count.
    """
    own = walk.folders(folder)
    foreign, lacking = (sorted(set(a) - set(b)) for a, b in ((own, classes), (classes, own)))
    different = [
        f"{what} {words.some(names)}"
        for what, names in (("class folders that train/ lacks:", foreign), ("no folder for the classes", lacking))
        if names
    ]
    if different and spec.classes == "same":
        raise DataError(
            f"{walk.root / folder}: {'; '.join(different)}; every split must have the same classes. Mend the folders, "
            "or let those of train/ count, and leave out what is foreign: data.classes: train"
        )
    return [f"{folder}/: {'; '.join(different)}"] if different else []


def _split(walk: Walk, folder: str, classes: tuple[str, ...]) -> tuple[EntriesBuilder, list[File]]:
    """The pictures of one split, and the files that are left out."""
    pictures, left_out, there = EntriesBuilder(), walk.files(folder, deep=False), set(walk.folders(folder))
    for label, name in enumerate(classes):
        for file in walk.files(joined(folder, name)) if name in there else []:
            if file.ending in ENDINGS:
                pictures.add(walk.position(file.folder), file.name, label, size=file.size)
            else:
                left_out.append(file)
    if not len(pictures):
        raise DataError(
            f"{walk.root / folder}: no pictures in its class folders; known endings: {', '.join(sorted(ENDINGS))}"
        )
    return pictures, left_out


def _left_out(name: str, files: Iterable[File]) -> tuple[str, ...]:
    """A note on files that were not read: other endings, or pictures that lie in no class folder."""
    endings = Counter(file.ending or "no ending" for file in files)
    if not endings:
        return ()
    named = ", ".join(f"{ending} ({count})" for ending, count in endings.most_common(8))
    more = ", ..." if len(endings) > 8 else ""
    return (f"{name}: left out, being no pictures, or in no class folder: {named}{more}",)
