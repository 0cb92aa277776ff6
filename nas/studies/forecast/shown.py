"""`nas run FILE --dry`: what a study would do, and take."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.table import Table

from nas import words
from nas.studies.forecast.forecast import Forecast, MemoryForecast
from nas.system.machine import Machine


def stages_table(title: str, forecast: Forecast) -> Table:
    """A row for each stage that a step was timed of."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage")
    table.add_column("does")
    table.add_column("about", justify="right")
    for one in forecast.stages:
        table.add_row(one.stage, one.work, words.roughly(one.seconds))
    table.add_row("together", "", words.roughly(forecast.seconds), style="bold")
    return table


def sentences(forecast: Forecast, machine: Machine) -> Iterator[str]:
    """Memory, notes, and what the machine has."""
    yield f"memory    {in_words(forecast.memory)}"
    yield f"machine   {machine}; others that work on it make all this longer"
    yield from (f"note      {note}" for note in forecast.notes)


def in_words(memory: MemoryForecast) -> str:
    """What is needed, and for what."""
    where = "of the GPU's" if memory.device == "cuda" else "in all"
    parts = f"training {words.gigabytes(memory.training)}, measuring {words.gigabytes(memory.measuring)}"
    return f"about {words.gigabytes(memory.total)} {where} ({parts}, pictures held {words.gigabytes(memory.pictures)})"
