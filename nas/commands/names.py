"""Which of timm's models become supernets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.commands.options import Json, put_json
from nas.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from nas.supernets.timm_names import KnownName


def models(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Names of timm's, such as 'vit_*' or '*dinov3*'.")
    ] = "*",
    json: Json = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write them to a CSV file.")] = None,
) -> None:
    """List timm's transformers and hybrids: by which way each becomes a supernet, or why it does not."""
    from dataclasses import asdict
    from fnmatch import fnmatchcase

    from nas.supernets.timm_names import known_names
    from nas.system.terminal import Terminal

    known = [name for name in known_names() if fnmatchcase(name.name, pattern)]
    if not known:
        raise ModelError(f"no name of a transformer or hybrid of timm's is like '{pattern}'; of others: nas axes NAME")
    rows = [asdict(name) for name in known]
    if csv is not None:
        import pandas as pd

        from nas.studies.report.spreadsheet import write_csv

        write_csv(pd.DataFrame(rows).assign(kinds=[" ".join(name.kinds) for name in known]), csv)
    if put_json(json, rows):
        return
    console = Terminal()
    console.print(_table(known))
    ways = {way: sum(name.by == way for name in known) for way in ("hand", "derived", "refused")}
    console.say(f"{len(known)} names: " + ", ".join(f"{number} {way}" for way, number in ways.items() if number))


def _table(known: Sequence[KnownName]) -> Table:
    from rich.table import Table

    from nas import words

    table = Table("model", "supernet", "parameters", "MACs", "checkpoints", "axes, or why not")
    for name in known:
        counted = [words.amount(number) if number else "" for number in (name.parameters, name.macs)]
        about = name.why if name.by == "refused" else ", ".join(name.kinds)
        table.add_row(name.name, name.by, *counted, str(name.weights or ""), about)
    return table
