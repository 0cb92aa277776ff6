"""The spaces, presets and studies that come with nas, by name: `space: deit_tiny`, `strategy: nsga2`, `nas run digits`.

An installed package has them in this folder; a checkout, at its root, where they are edited.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from nas.errors import ConfigError, Fault, nearest

RootFolder = Literal["searchspaces", "strategies", "studies"]


@cache
def ready_made(kind: RootFolder) -> Mapping[str, Path]:
    """Name -> file."""
    here = Path(__file__).parent
    folders = (here / kind, here.parents[1] / kind)
    folder = next((folder for folder in folders if folder.is_dir()), None)
    return {} if folder is None else {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def named(text: str | Path, kind: RootFolder) -> Path | None:
    """The file of that name; None for what is none, and for what is a path that exists."""
    return ready_made(kind).get(str(text)) if _is_name(text) else None


def file_of(path: Path, *kinds: RootFolder) -> Path:
    """The file of that name, of any of these kinds, or the path itself. Raises `ConfigError` for a name of nothing."""
    file = next(filter(None, (named(path, kind) for kind in kinds)), path)
    if file is path and _is_name(path):
        names = [name for kind in kinds for name in ready_made(kind)]
        allowed = f"a path, or a name of what comes with nas: {', '.join(names)}{nearest(str(path), names)}"
        raise ConfigError([Fault(str(path), "", "no such file", allowed)])
    return file


def known(text: str | Path, kind: RootFolder) -> str:
    """The names that there are, and the nearest one, for a fault."""
    names = ready_made(kind)
    return f"one of {', '.join(names)}{nearest(str(text), names)}"


def _is_name(text: str | Path) -> bool:
    """Whether a text may be such a name: of letters, digits and _, and no path that exists."""
    return bool(re.fullmatch(r"[a-z0-9_]+", str(text))) and not Path(str(text)).exists()
