"""Latency of a space on a device: measured step by step, and held against whole sub-networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from nas.latency.building import TriedTable
    from nas.latency.devices import Device
    from nas.supernets import Supernet


def bench(  # noqa: PLR0913  (one per option)
    space: Annotated[
        Path,
        typer.Argument(
            metavar="SPACE", help="A search space or a study: its YAML file, or its name if it comes with nas."
        ),
    ],
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table to a JSON file.")] = None,
    batch: Annotated[int | None, typer.Option(metavar="N", help="Images of a batch (default: 1).")] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Threads of the processor (default: as many as torch takes).")
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="DEVICE",
            help="cpu_torch, cuda_torch, onnxruntime, openvino, tensorrt, or folder; with options as in YAML: "
            "'{use: cpu_torch, precision: bfloat16, compile: true}', '{use: folder, path: models, name: phone}'.",
        ),
    ] = "cpu_torch",
    energy: Annotated[
        bool, typer.Option("--energy", help="Measure energy in the place of time, where the machine has a meter.")
    ] = False,
    check: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=2,
            max=10_000,
            help="Sub-networks that are timed as a check: random ones, and as many from the smallest to the largest.",
        ),
    ] = 20,
    seconds: Annotated[
        float,
        typer.Option(
            metavar="S",
            min=1,
            max=86_400,
            help="How long those that fit into memory together take turns; what is made before comes on top.",
        ),
    ] = 60.0,
) -> None:
    """Measure a table of latencies: what every architecture of a space takes on a device, without running it. Studies
    of the space find it by themselves.
    """
    from nas import quantities
    from nas.errors import RunError
    from nas.latency.building import measured_table
    from nas.latency.remembered import remember
    from nas.ready_made import file_of
    from nas.studies.file.searched import space_of
    from nas.supernets import Supernet, build
    from nas.supernets.of_space import image_of
    from nas.system.terminal import Terminal

    if to is not None and to.exists():
        raise RunError(f"{to}: exists; choose another file")
    timing = _device(device, {"batch": batch, "threads": threads})
    searched = space_of(file_of(space, "searchspaces", "studies"))
    supernet = Supernet(build(searched.model, searched.model_args), searched)
    measured = measured_table(supernet, image_of(searched), timing, check=check, seconds=seconds, energy=energy)
    table = measured.table
    remember(table)
    if to is not None:
        table.write(to)
    console = Terminal()
    quantity = quantities.find(table.quantity)
    least, most = map(quantity.show, searched.ends(table.additive(searched)))
    console.say(
        f"{searched.model} on {table.conditions}, batches of {timing.batch}: {least} to {most}, from "
        f"{table.conditions.measured} sub-networks, measured step by step or whole"
    )
    for line in _prediction(measured):
        console.say(line)
    said = table.quantity
    console.say(f"remembered; in a study: {said}: {{device: {device}}}, limit: {{{said}: 70%}}")
    if to is not None:
        console.say(f"written to {to}; in a study anywhere: {said}: {{table: {to}}}")
    # Somebody else would have to time a second lot of models.
    for line in _prices(supernet, timing) if timing.here and not energy else []:
        console.say(line)


def _device(text: str, options: dict[str, int | None]) -> Device:
    """The device that is asked for, with options of their own. Raises `ConfigError` for what is none."""
    from nas.documents.document import read
    from nas.documents.plugged import plugin_of
    from nas.latency.devices import DEVICE

    said: Any = read(text).data if text.lstrip().startswith("{") else text
    mapping = said if isinstance(said, dict) else {"use": said}
    return plugin_of({**mapping, **{key: value for key, value in options.items() if value is not None}}, DEVICE)


def _prediction(measured: TriedTable) -> list[str]:
    from nas import quantities
    from nas.latency.table import NANOSECONDS

    quantity = quantities.find(measured.table.quantity)
    lines = []
    for kind, shown in (("random", measured.prediction), ("evenly spread", measured.even)):
        if shown is None:
            continue
        least, most = (quantity.show(NANOSECONDS * value) for value in (shown.timed.min(), shown.timed.max()))
        lines.append(
            f"predicted against timed, {len(shown.timed)} {kind} sub-networks ({least} to {most}): median error "
            f"{100 * shown.error:.1f} %, of 95 in a hundred less than {100 * shown.most:.1f} %, mean "
            f"{100 * shown.bias:+.1f} %; Kendall's tau {shown.tau:.2f}, and noise alone would leave {shown.ceiling:.2f}"
        )
    if measured.table.accuracy is not None:
        noise = 100 * measured.table.accuracy.noise
        lines.append(
            f"noise: timed again, a sub-network would take {noise:.1f} % more or less; with four times the --seconds, "
            "half of that, about"
        )
    return lines


def _prices(supernet: Supernet, device: Device) -> list[str]:
    from nas.latency.multiples import LEAST, prices
    from nas.supernets.of_space import image_of

    lines = []
    for price in prices(supernet, image_of(supernet.space), device):
        kinds = [
            f"{f'multiples of {tile}' if tile >= LEAST else 'others'} {100 * share:+.1f} %"
            for tile, share in sorted(price.excess.items(), reverse=True)
        ]
        low, high = price.ends
        lines.append(
            f"{price.dimension} has sizes that are no multiples of {LEAST} (multiple_of: {LEAST} leaves them out). "
            f"From {low} to {high} of {price.units} units, in {price.blocks} blocks at once, a pass takes longer than "
            f"the line through both says: {', '.join(kinds)} (noise {100 * price.noise:.1f} %)"
        )
    return lines
