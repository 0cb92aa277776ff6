"""Latency of a space on this machine: measured step by step, and held against whole sub-networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nas.latency.checking import Prediction


def bench(
    space: Annotated[Path, typer.Argument(metavar="SPACE", help="The YAML file of a search space, or of a study.")],
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table to a JSON file.")] = None,
    batch: Annotated[int, typer.Option(metavar="N", min=1, max=16_384, help="Images of a batch.")] = 1,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=1024, help="Threads of torch (default: as it is set).")
    ] = None,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="cpu, cuda, cuda:1 ...; auto: a GPU if any.")] = "auto",
    check: Annotated[
        int, typer.Option(metavar="N", min=2, max=10_000, help="Random sub-networks that are timed as a check.")
    ] = 20,
) -> None:
    """Measure a table of latencies: what every architecture of a space takes on this machine, without running it."""
    import torch

    from nas.errors import RunError
    from nas.latency.building import measured_table
    from nas.latency.checking import predicted_and_timed
    from nas.studies.file.searched import space_of
    from nas.studies.stages.workshop import device_called
    from nas.supernets import Supernet, build
    from nas.supernets.of_space import image_of
    from nas.system.terminal import Terminal

    if to is not None and to.exists():
        raise RunError(f"{to}: exists; choose another file")
    if threads is not None:
        torch.set_num_threads(threads)
    searched = space_of(space)
    supernet = Supernet(build(searched.model, searched.model_args), searched).to(device_called(device))
    table = measured_table(supernet, image_of(searched), batch=batch)
    shown = predicted_and_timed(table, supernet, check)
    table = replace(table, accuracy=shown.accuracy)
    if to is not None:
        table.write(to)
    console, conditions = Terminal(), table.conditions
    least, most = table.milliseconds(searched, [searched.smallest, searched.largest])
    console.say(
        f"{searched.model} on {conditions.device}, {conditions.threads} threads, batches of {batch}: "
        f"{least:.3g} to {most:.3g} ms, from {conditions.measured} sub-networks, timed step by step or whole"
    )
    for line in _prediction(shown, check):
        console.say(line)
    if to is not None:
        console.say(f"written to {to}; in a study: latency: {{table: {to}}}, limit: {{latency: 70%}}")


def _prediction(shown: Prediction, count: int) -> list[str]:
    return [
        f"predicted against timed, {count} random sub-networks: median error {100 * shown.error:.1f} %, of 95 in a "
        f"hundred less than {100 * shown.accuracy.most:.1f} %, Kendall's tau {shown.tau:.2f}; they take "
        f"{shown.timed.min():.3g} to {shown.timed.max():.3g} ms",
        f"noise: timed again, a sub-network would take {100 * shown.noise:.1f} % more or less",
    ]
