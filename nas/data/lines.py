"""A file of text that says something of a data set, line by line: its classes, or those of its pictures."""

from __future__ import annotations

from pathlib import Path

from nas.errors import DataError

LARGEST = 2**28
"""Bytes: the file that says the classes of ImageNet's validation pictures has two million."""


def lines_of(path: Path, about: str, allowed: str) -> list[str]:
    """The lines that are not blank, without blanks at their ends.

    about    how a message begins: the key in the study, and the file
    allowed  what may stand in the file

    Raises `DataError` for a file that is missing, too large, or no text.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{about} has more than {LARGEST:,} bytes; allowed: {allowed}")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise DataError(f"{about} cannot be read as text ({reason}); allowed: {allowed}") from None
    return [line.strip() for line in lines if line.strip()]
