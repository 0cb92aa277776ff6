"""Splits whose pictures lie in one folder, without class folders: ImageNet's val/, and its test/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nas import words
from nas.data.decoding import ENDINGS
from nas.data.listing import EntriesBuilder
from nas.data.readers import _label_file
from nas.data.readers._walk import File, Walk
from nas.data.spec import DataSpec, OnError
from nas.errors import DataError


def folders(walk: Walk, roles: Mapping[str, str], classes: Sequence[str], spec: DataSpec) -> dict[str, Path | None]:
    """The splits that are flat, each with the file that says its classes: `val_labels` is of val/, or, without one, of
    test/. A flat test/ beside a val/ is ImageNet's, whose classes nobody was told: it has None.

    Raises `DataError` for a split without classes, and for a file that nothing needs.
    """
    flat = [role for role, folder in roles.items() if role != "train" and not set(walk.folders(folder)) & set(classes)]
    labelled = "validation" if "validation" in roles else "test"
    if spec.val_labels is not None and labelled not in flat:
        what = f"{walk.root / roles[labelled]} has class folders" if labelled in roles else "there is no val/"
        raise DataError(f"data.val_labels: not read, since {what}; leave it out")
    files: dict[str, Path | None] = {}
    for role in flat:
        if role == labelled and spec.val_labels is not None:
            files[role] = Path(spec.val_labels).expanduser()
        elif role == "test" and "validation" in roles:
            files[role] = None
        elif any(file.ending in ENDINGS for file in walk.files(roles[role])):
            raise DataError(
                f"{walk.root / roles[role]}: pictures without class folders of train/; put them into such, or say "
                "which class each has: data.val_labels: FILE"
            )
    return files


def split(
    walk: Walk, folder: str, classes: Sequence[str], labels: Path, on_error: OnError
) -> tuple[EntriesBuilder, list[File], list[str]]:
    """The pictures of a flat split, the files that are left out, and notes. Raises `DataError` where pictures that the
    file names are missing, unless they are to be skipped.
    """
    files = walk.files(folder)
    pictures = [file for file in files if file.ending in ENDINGS]
    numbers, missing = _label_file.classes_of(labels, [file.name for file in pictures], classes)
    if missing:
        said = f"{walk.root / folder}: {len(missing)} pictures that {labels.name} names are missing: "
        said += words.some(missing)
        if on_error == "stop":
            raise DataError(f"{said}; put them there, or do without them: data.on_error: skip")
    entries, without = EntriesBuilder(), []
    for file, number in zip(pictures, numbers, strict=True):
        if number is None:
            without.append(file.name)
        else:
            entries.add(walk.position(file.folder), file.name, number, size=file.size)
    if not len(entries):
        raise DataError(f"{walk.root / folder}: {labels} says the class of none of its {len(pictures)} pictures")
    notes = [said] if missing else []
    if without:
        notes.append(
            f"{walk.root / folder}: left out, since {labels.name} does not name them: {len(without)} pictures "
            f"({words.some(without)})"
        )
    return entries, [file for file in files if file.ending not in ENDINGS], notes
