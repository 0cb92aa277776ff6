"""Text of others: what may be a name, and how text that is not ours is shown on a terminal and in a table for a
spreadsheet.

A data set's classes, a driver's host, an error of a library, all that stands in a run's folder: each is shown as it is,
and none is obeyed.
"""

from __future__ import annotations

MOST = 64
"""Characters of a name: what the table of trials holds."""
LONGEST_FOLDER = 255
"""Characters of a class's name, which is that of a folder."""
COMMANDS = "=+-@"
"""First characters by which spreadsheets know what to calculate."""
ALLOWED = f"at most {MOST} printable characters, the first one none of {' '.join(COMMANDS)} and no space"


def is_name(text: str, most: int = MOST) -> bool:
    """Whether text may be the name of a strategy, a study or a class.

    Not printable are control characters, line breaks, and the marks that turn the direction of writing.
    """
    return 0 < len(text) <= most and text.isprintable() and text[0] not in f"{COMMANDS} "


def named(text: str) -> str:
    """The name itself, for pydantic. Raises `ValueError` with what is allowed."""
    if not is_name(text):
        raise ValueError(ALLOWED)
    return text


def printable(text: str) -> str:
    r"""The text with what a terminal would obey spelt out, such as \x1b; line breaks stay."""
    if text.isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def line(text: str, most: int = 100) -> str:
    r"""The first characters of a text, for a message of one line: printable, with line breaks spelt out, too."""
    return printable(text[:most]).replace("\n", "\\n")


def cell(text: str) -> str:
    """The text for a cell of a CSV file, which no spreadsheet takes for a formula."""
    text = printable(text)
    return f"'{text}" if text.lstrip()[:1] in tuple(COMMANDS) else text
