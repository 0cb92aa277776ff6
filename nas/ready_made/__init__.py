"""The spaces, presets and studies that come with nas, by name: `space: deit_tiny`, `strategy: nsga2`, `nas run digits`.

An installed package has them in this folder; a checkout, at its root, where they are edited.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from nas.errors import nearest

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
    name = str(text)
    return None if not re.fullmatch(r"[a-z0-9_]+", name) or Path(name).exists() else ready_made(kind).get(name)


def known(text: str | Path, kind: RootFolder) -> str:
    """The names that there are, and the nearest one, for a fault."""
    names = ready_made(kind)
    return f"one of {', '.join(names)}{nearest(str(text), names)}"
