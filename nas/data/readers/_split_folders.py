"""Which folders of a data set are its splits. Where names may be meant in two ways, the user is asked."""

from __future__ import annotations

import re

from nas.data.readers._walk import Walk
from nas.errors import DataError

ROLES = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
_ALIKE = re.compile(
    r"(train|val|valid|test|eval)(ing|ation|uation)?|trainval|dev|development|hold-?out|fold|split", re.IGNORECASE
)


def of(walk: Walk) -> dict[str, str]:
    """Split ("train", "validation", "test") -> its folder in the set's root, in this order; nothing where the folders
    are classes.

    Raises `DataError` where folders are called like splits but do not make a whole set of them.
    """
    path, names = walk.root, walk.folders("")
    splits = [name for name in names if name.lower() in ROLES]
    alike = [name for name in names if name not in splits and _ALIKE.fullmatch(_bare(name))]
    if not splits and not alike:
        return {}
    answer = (
        "Call them train/, val/ and test/ (one of the last two is enough), move away what is none of these, or say "
        "that all are classes: data.split_folders: none"
    )
    if alike:
        raise DataError(f"{path}: the folders {', '.join([*splits, *alike][:6])} look like splits. {answer}")
    roles: dict[str, str] = {}
    for role in ("train", "validation", "test"):
        own = [name for name in splits if ROLES[name.lower()] == role]
        if len(own) > 1:
            raise DataError(f"{path}: the folders {', '.join(own)} are all called like the {role} split; keep one")
        if own:
            roles[role] = own[0]
    others = [name for name in names if name not in splits]
    if "train" not in roles:
        raise DataError(f"{path}: the folders {', '.join(splits)} look like splits, without train/. {answer}")
    if len(roles) == 1:
        raise DataError(
            f"{path}: found train/ without test/ or val/; add one of them, or move the class folders up one level and "
            "they will be split"
            + (f". If it is a class beside {others[0]}/: data.split_folders: none" if others else "")
        )
    return roles


def _bare(name: str) -> str:
    """A name without what is often added to a split's: years, numbers, "set", "data", "images"."""
    return re.sub(r"[\W_\d]+|sets?$|data$|images?$", "", re.sub(r"[\W_\d]+$", "", name))
