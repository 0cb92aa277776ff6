"""Text of the code as Markdown."""

from __future__ import annotations

import re


def cell(text: str) -> str:
    """Text inside a cell of a table."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def escaped(text: str) -> str:
    """Prose of docstrings in Markdown: what is code stays, else no character opens a tag, a link or emphasis."""
    pieces = re.split(r"(`[^`]*`|^ {4}.*$)", text, flags=re.MULTILINE)
    code = ("`", "    ")
    return "".join(piece if piece.startswith(code) else re.sub(r"([<\[*_])", r"\\\1", piece) for piece in pieces)
