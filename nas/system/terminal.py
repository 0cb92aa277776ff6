"""The console that everything is printed to: what it is given it shows as it is, whoever wrote it.

Names, errors and hosts come from data sets, libraries and other people's folders. No text is markup, no emoji is spelt,
no control character reaches the terminal, and no password of a URL. Text of ours with a style is a `rich.text.Text`.
"""

from __future__ import annotations

from typing import Any, final

from rich.console import Console
from rich.progress import Task, TextColumn
from rich.text import Text
from typing_extensions import override

from nas.foreign import printable
from nas.passwords import hidden

WIDE = 200
"""Columns where the output is no terminal: enough for every table."""


@final
class Terminal(Console):
    """A console for text that is not ours."""

    def __init__(self, *, stderr: bool = False, quiet: bool = False) -> None:
        super().__init__(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)
        if not self.is_terminal:
            self.width = WIDE

    @override
    def render_str(self, text: str, **options: Any) -> Text:
        """Every text of a print, of a table's cell, heading and title comes here."""
        return super().render_str(literally(text), **options)

    def say(self, *parts: str | Text) -> None:
        """Prints a line; the terminal breaks it where it must."""
        self.print(
            Text.assemble(*(literally(part) if isinstance(part, str) else part for part in parts)), soft_wrap=True
        )


def literally(text: str) -> str:
    """Text as it may be shown."""
    return printable(hidden(text))


@final
class Words(TextColumn):
    """A column of a progress bar whose fields are shown as they are."""

    @override
    def render(self, task: Task) -> Text:
        return Text(literally(self.text_format.format(task=task)), style=self.style, justify=self.justify)
