"""Small facts that take long to find out, kept in the user's cache folder: a JSON file for each.

The cache may be lost, damaged or written by others at any time: a file that is not what was asked for counts as none.
Nothing in it is ever unpickled, and a folder that cannot be written to is none.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from nas.system.files import replace_file

T = TypeVar("T")


def recall(kind: type[T], about: Mapping[str, Any]) -> T | None:
    """What was remembered about this (plain JSON, every number and version that the fact depends on), as a dataclass of
    this kind; None when nothing was.
    """
    try:
        kept = json.loads(_file(about).read_bytes())
        if kept["about"] != json.loads(_text(about)):
            return None
        return TypeAdapter(kind).validate_json(json.dumps(kept["value"]), strict=True)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, RecursionError):
        return None


def remember(value: object, about: Mapping[str, Any]) -> None:
    """Keeps a dataclass for `recall`."""
    plain = TypeAdapter(type(value)).dump_python(value, mode="json")
    with contextlib.suppress(OSError, RuntimeError, TypeError):  # no disk, no home, or `about` is not JSON
        replace_file(_file(about), json.dumps({"about": dict(about), "value": plain}).encode())


def _file(about: Mapping[str, Any]) -> Path:
    """Raises RuntimeError for a user without a home."""
    return _folder() / f"{sha256(_text(about).encode()).hexdigest()[:32]}.json"


def _folder() -> Path:
    """As the XDG base directory specification has it, which says that a relative path is to be ignored."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "nas"


def _text(about: Mapping[str, Any]) -> str:
    return json.dumps(about, sort_keys=True)
