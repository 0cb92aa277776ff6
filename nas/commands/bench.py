"""Latency of a space on this machine: measured part by part, and held against whole sub-networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nas.latency.checking import Prediction


def bench(
    space: Annotated[Path, typer.Argument(metavar="SPACE", help="A search space's YAML file.")],
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
    from nas.searchspaces import SearchSpace
    from nas.studies.stages.workshop import device_called
    from nas.supernets import Supernet, build
    from nas.supernets.of_space import image_of
    from nas.system.terminal import Terminal

    if to is not None and to.exists():
        raise RunError(f"{to}: exists; choose another file")
    if threads is not None:
        torch.set_num_threads(threads)
    searched = SearchSpace.from_yaml(space)
    supernet = Supernet(build(searched.model, searched.model_args), searched).to(device_called(device))
    table = measured_table(supernet, image_of(searched), batch=batch)
    shown = predicted_and_timed(table, supernet, check)
    if to is not None:
        table.write(to)
    console, conditions = Terminal(), table.conditions
    least, most = table.milliseconds(searched, [searched.smallest, searched.largest])
    console.say(
        f"{searched.model} on {conditions.device}, {conditions.threads} threads, batches of {batch}: "
        f"{least:.3g} to {most:.3g} ms, from {conditions.measured} timed parts and sub-networks"
    )
    for line in _prediction(shown, check):
        console.say(line)
    if to is not None:
        console.say(f"written to {to}")


def _prediction(shown: Prediction, count: int) -> list[str]:
    return [
        f"predicted against timed, {count} random sub-networks: median error {100 * shown.error:.1f} %, Kendall's tau "
        f"{shown.tau:.2f}; they take {shown.timed.min():.3g} to {shown.timed.max():.3g} ms",
        f"the same sub-network takes {100 * shown.noise:.1f} % longer or shorter from one time to the next (quartiles)",
    ]
