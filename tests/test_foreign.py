"""Names, and text of others on a terminal and in a table."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from nas.data.source import Source
from nas.errors import DataError
from nas.foreign import cell, is_name, printable
from nas.studies.report.spreadsheet import csv_text
from nas.system.terminal import Terminal, Words

NASTY = ["[/red]", "[bold]x[/bold]", ":smile:", "$x^{$", "\x1b[2Jgone", "a\u202egpj.exe", "a\x00b", "a\rb"]


@pytest.mark.parametrize("name", ["a", "nsga2 with rank 0.5", "größe", "[bold]", "$x^{$", "n" * 64, "a=b", "{x}"])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", "=1+1", "+1", "-1", "@x", " a", "n" * 65, "a\nb", "a\tb", "\x1b[2J", "a\u202eb", "a\u200bb", "\ud800"]
)
def test_no_names(name: str) -> None:
    assert not is_name(name)


def test_classes_have_names() -> None:
    with pytest.raises(DataError, match=r"cats: found a class called '=1\+1'; allowed: printable .* rename its folder"):
        Source("cats", ("tom", "=1+1"), train=None)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"called 'a\\u202eb'"):
        Source("cats", ("tom", "a\u202eb"), train=None)  # type: ignore[arg-type]


def test_what_a_terminal_would_obey_is_spelt_out() -> None:
    assert printable("a\x1b[2J\u202e\nb") == "a\\x1b[2J\\u202e\nb"
    assert printable("größe 漢字") == "größe 漢字"


@pytest.mark.parametrize("text", NASTY)
def test_the_terminal_shows_any_text_as_it_is(text: str) -> None:
    console = Terminal()
    console.file = io.StringIO()
    table = Table(text, title=text, caption=text)
    table.add_row(text)
    console.print(table)
    console.print(text)
    console.say(text, Text(" ours", style="bold"))
    with Progress(Words("{task.description} {task.fields[note]}"), console=console) as progress:
        progress.add_task(text, note=text)
    out = console.file.getvalue()
    assert out.count(printable(text)) == 8, out
    assert printable(out) == out


def test_the_terminal_shows_no_password() -> None:
    console = Terminal()
    console.file = io.StringIO()
    console.say("postgresql://me:s3cret@host")
    console.print("postgresql://me:s3cret@host")
    assert "s3cret" not in console.file.getvalue()


def test_no_cell_of_a_table_is_a_formula() -> None:
    assert [cell(text) for text in ("=1", "+1", "-a", "@x", " =1", "a=1", "", "\t=1")] == [
        "'=1", "'+1", "'-a", "'@x", "' =1", "a=1", "", "\\t=1",
    ]  # fmt: skip
    frame = pd.DataFrame({"=name": ["=HYPERLINK(1)", None], "number": [-1, 2], "share": [-0.5, float("nan")]})
    assert csv_text(frame) == "'=name,number,share\n'=HYPERLINK(1),-1,-0.5\n,2,\n"
