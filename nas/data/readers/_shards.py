"""Sets in few large files: which of them hold which split, by the names of folders or of the files themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nas.data.listing import EntriesBuilder, Listing
from nas.data.readers._split_folders import ROLES
from nas.data.readers._walk import File, Walk
from nas.data.spec import DataSpec
from nas.errors import DataError


def found(walk: Walk, ending: str) -> dict[str, list[File]]:
    """Split -> its shards, files of this ending; nothing where the set is none of shards: class folders beside an
    archive are one.

    They lie in the root, in a folder of a split's name, in data/, or in the only folder that there is.
    """
    folders = walk.folders("")
    of_splits = [name for name in folders if name.lower() in ROLES]
    within = [name for name in folders if name.lower() == "data" or len(folders) == 1]
    shards: dict[str, list[File]] = {}
    if not of_splits and len(folders) < 2:
        _by_name(walk, _ending(walk, "", ending), shards)
    for name in of_splits or within:
        if walk.folders(name):  # its classes
            return {}
        if of_splits:
            shards.setdefault(ROLES[name.lower()], []).extend(_ending(walk, name, ending))
        else:
            _by_name(walk, _ending(walk, name, ending), shards)
    return {role: shards[role] for role in ("train", "validation", "test") if shards.get(role)}


def _ending(walk: Walk, folder: str, ending: str) -> list[File]:
    # What Hugging Face's library computed from a set lies beside it.
    return [file for file in walk.files(folder, deep=False) if file.ending == ending and file.name[:6] != "cache-"]


def _by_name(walk: Walk, files: Sequence[File], shards: dict[str, list[File]]) -> None:
    """Sorts shards into splits; without a split's name in any of them, all are training images."""
    roles = {file: role for file in files if (role := _role(file.name)) is not None}
    unclear = [file.path for file in files if file not in roles]
    if roles and unclear:
        raise DataError(
            f"{walk.root}: which split is {unclear[0]}? The others say train, val or test in their names; rename it, "
            "or move it away"
        )
    for file in files:
        shards.setdefault(roles.get(file, "train"), []).append(file)


def _role(name: str) -> str | None:
    words = re.split(r"[\W_]+", name.lower())
    return next((ROLES[word] for word in words if word in ROLES), None)


def assembled(
    walk: Walk,
    spec: DataSpec,
    kind: str,
    splits: Mapping[str, EntriesBuilder],
    classes: tuple[str, ...],
) -> Listing:
    """The listing of what lies in shards. A test split whose labels were kept back, as ImageNet's, is left out; without
    one, the validation split serves as it, as of folders.
    """
    notes = []
    splits = dict(splits)
    if "test" in splits and max(splits["test"].labels, default=0) < 0:
        notes.append(f"{walk.root.name}: left out, since its labels are kept back: test")
        del splits["test"]
    if "train" not in splits:
        raise DataError(f"{walk.root}: found shards of {' and '.join(splits) or 'no split'}, and none of train")
    if "test" not in splits and "validation" in splits:
        splits["test"] = splits.pop("validation")
    for role, pictures in splits.items():
        if not len(pictures):
            raise DataError(f"{walk.root}: no pictures in the shards of {role}")
        if min(pictures.labels) < 0:
            raise DataError(f"{walk.root}: {role} has the label {min(pictures.labels)}; classes are counted from 0")
    return Listing(
        kind=kind,
        name=walk.root.name,
        classes=classes,
        containers=walk.containers,
        splits={role: pictures.entries() for role, pictures in splits.items()},
        notes=tuple(notes),
        question=spec.question,
    )
