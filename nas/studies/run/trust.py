"""Whether a command may go where a run's folder sends it: the folder may come from somebody else.

A study that a user writes names hosts by the user's will. That of a folder does not: before a command connects to a
host that a folder names, or writes to a file outside of it, the user says --trust, or keeps a list of what is trusted
in the environment. Files inside the folder need neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nas.errors import RunError
from nas.trusted import VARIABLE, listed


def require_trust(folder: Path, places: Mapping[str, Sequence[str]]) -> None:
    """Raises `RunError` for places that are not in the list; `places` maps a setting to what using it reaches."""
    known = listed()
    strange = [f"{key} {place}" for key, reached in places.items() for place in reached if not _known(place, known)]
    if strange:
        raise RunError(
            f"{folder}: found what lies outside this folder, and was named by it: {', '.join(strange)}; allowed with "
            f"--trust, if you know where the folder comes from, or with the host or file in {VARIABLE}"
        )


def _known(place: str, trusted: frozenset[str]) -> bool:
    return bool({place, place.rpartition(":")[0]} & trusted)
