"""Whether a command may go where a run's folder sends it: the folder may come from somebody else.

A study that a user writes names hosts by the user's will. That of a folder does not: before a command connects to a
host that a folder names, or writes to a file outside of it, the user says --trust, or keeps a list of what is trusted
in the environment. Files inside the folder need neither.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from nas.errors import RunError

VARIABLE = "NAS_TRUST"
"""Environment variable: hosts, with or without a port, and files that are trusted whichever folder names them; commas
between them.
"""


def require_trust(folder: Path, places: Mapping[str, Sequence[str]]) -> None:
    """Raises `RunError` for places that are not in the list; `places` maps a setting to what using it reaches."""
    listed = {entry.strip() for entry in os.environ.get(VARIABLE, "").split(",")}
    strange = [f"{key} {place}" for key, reached in places.items() for place in reached if not _known(place, listed)]
    if strange:
        raise RunError(
            f"{folder}: found what lies outside this folder, and was named by it: {', '.join(strange)}; allowed with "
            f"--trust, if you know where the folder comes from, or with the host or file in {VARIABLE}"
        )


def _known(place: str, listed: set[str]) -> bool:
    return bool({place, place.rpartition(":")[0]} & (listed - {""}))
