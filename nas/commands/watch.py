"""A run while it is under way, from any terminal that sees its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nas.commands.options import Json, Run, Trust, put_json
from nas.commands.stopping import stoppable

if TYPE_CHECKING:
    from rich.table import Table

    from nas.studies.run.progress import StageProgress
    from nas.studies.run.record import Record


def watch(
    run: Run,
    seconds: Annotated[
        float, typer.Option(metavar="N", min=0.2, max=3600, help="How often it is looked at, in seconds.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    json: Json = None,
    trust: Trust = False,
) -> None:
    """Watch a run: which stage it is at, how far, and about how long it still takes; until it is done, or Ctrl-C."""
    import time
    from dataclasses import asdict

    from rich.live import Live

    from nas.studies.run.progress import progress_of
    from nas.studies.run.record import Record
    from nas.system.terminal import Terminal

    record, console = Record.open(run, trust=trust), Terminal()
    stages = progress_of(record)
    if put_json(json, [asdict(stage) for stage in stages]):
        return
    if once or not console.is_terminal:
        console.print(_table(record, stages))
        return
    with stoppable(), Live(_table(record, stages), console=console, auto_refresh=False) as live:
        while any(stage.state != "done" for stage in stages):
            time.sleep(seconds)
            stages = progress_of(record)
            live.update(_table(record, stages), refresh=True)


def _table(record: Record, stages: list[StageProgress]) -> Table:
    from rich import box
    from rich.table import Table

    from nas import words

    nobody = not any(stage.state == "under way" for stage in stages)
    left = any(stage.state != "done" for stage in stages)
    caption = f"nobody runs it now: nas run {record.folder}" if nobody and left else None
    table = Table("stage", "", "so far", "took", "left", title=f"{record.name}: {record.folder}", box=box.SIMPLE_HEAD,
                  title_justify="left", title_style="bold", caption=caption, caption_justify="left",
                  pad_edge=False)  # fmt: skip
    for stage in stages:
        took = "" if stage.seconds is None else words.seconds(stage.seconds)
        rest = "" if stage.rest is None else f"about {words.roughly(stage.rest)}"
        table.add_row(stage.stage, stage.state, stage.done, took, rest)
    return table
