"""Pictures that could not be read, and in whose place others were used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from nas.system.terminal import Terminal

NAMED = 5


@final
class Skipped:
    """Collects them by name, each with the reason, and tells of them on the terminal once."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._told = 0

    def add(self, reasons: Mapping[str, str]) -> None:
        """One or several of them, seen for the first time or again."""
        self._reasons |= reasons

    def __contains__(self, name: str) -> bool:
        """Whether the picture of this name is one of them."""
        return name in self._reasons

    def tell(self) -> None:
        """Prints how many there are, if more than were told before."""
        if len(self._reasons) > self._told:
            self._told = len(self._reasons)
            Terminal(stderr=True).say(f"note: {sentence(self._reasons)}")


def sentence(reasons: Mapping[str, str]) -> str:
    """How many pictures could not be read, and the first of them: name -> reason."""
    count = len(reasons)
    first = "; ".join(f"{name} ({reason})" for name, reason in list(reasons.items())[:NAMED])
    which = "picture cannot be read; the next one of its split stands in for it" if count == 1 else (
        "pictures cannot be read; the next ones of their splits stand in for them"
    )  # fmt: skip
    return f"{count} {which}: {first}{'; ...' if count > NAMED else ''}"
