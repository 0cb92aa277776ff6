"""The tables of a study: what every architecture of its space takes on one device or several, and in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import final

from nas import quantities
from nas.documents.document import Document
from nas.documents.plugged import read_plugin
from nas.documents.text import KeyPath
from nas.errors import Fault, FootprintError, LatencyError
from nas.latency.devices import Device, options_of
from nas.latency.remembered import recall
from nas.latency.table import ENERGY, LATENCY, LatencyTable, read_tables
from nas.searchspaces import SearchSpace
from nas.studies.file.config import TIMED_ON
from nas.supernets.cost import Tabulated

MEMORY = "memory"
"""The quantity, and the key of a study that says of what batch."""
TABLED = (LATENCY, ENERGY)
"""Quantities of which a study names tables, under keys that are called so."""


@final
@dataclass(frozen=True)
class KeptTables:
    """Files of a run that was prepared: of the only table of latencies, and of all others."""

    latency: Path
    others: Path

    def read(self) -> dict[str, LatencyTable]:
        """Quantity -> table. Raises `LatencyError`."""
        single = {LATENCY: LatencyTable.read(self.latency)} if self.latency.is_file() else {}
        return single | (read_tables(self.others) if self.others.is_file() else {})


def tables_of(
    document: Document, space: SearchSpace, kept: KeptTables | None
) -> tuple[dict[str, LatencyTable], list[Fault]]:
    """Quantity ("latency", "latency.phone") -> its table: of the file that the study names, or that is remembered of
    the device that it names; a run goes on with those that it has kept.
    """
    found: dict[str, LatencyTable] = {}
    faults: list[Fault] = []
    try:
        before = None if kept is None else kept.read()
    except LatencyError as refusal:
        return {}, [document.refused((LATENCY,), refusal, "the file that the run has kept")]
    for quantity, at in _named(document):
        if quantity in found:
            faults.append(document.fault(at, f"'{quantity}' twice", "one table or one device"))
            continue
        table, wrong = _one(document, space, quantity, at, None if before is None else before.get(quantity))
        faults += wrong
        if table is not None:
            found[quantity] = table
    return found, faults


def memory_in(document: Document, space: SearchSpace) -> tuple[dict[str, Tabulated], list[Fault]]:
    """The memory of the space's architectures, where the study bounds it, wants it, or says of what batch."""
    # An outline of a model that needs no torch is all that studies without it ask for.
    from nas.footprint.memory import memory_of

    asked = document.get((MEMORY,)) is not None or any(
        isinstance(of := document.get((key,)), dict) and MEMORY in of for key in ("limit", "objectives")
    )
    if not asked:
        return {}, []
    batch = document.get((MEMORY, "batch"))
    try:
        return {MEMORY: memory_of(space, batch if isinstance(batch, int) and 0 < batch < 2**15 else 1)}, []
    except FootprintError as refusal:
        return {}, [document.refused((MEMORY,), refusal, "a space whose memory is known")]


def _named(document: Document) -> Iterator[tuple[str, KeyPath]]:
    """The quantities of which the study names a table or a device, and where."""
    for quantity in TABLED:
        # A device beside a table is not read, which is a fault of its own.
        single = next((key for key in ("table", "device") if document.get((quantity, key))), None)
        if single is not None:
            yield quantity, (quantity, single)
        for several in ("tables", "devices"):
            named = document.get((quantity, several))
            for name in named if isinstance(named, dict) else ():
                yield f"{quantity}.{name}", (quantity, several, str(name))


def _one(
    document: Document, space: SearchSpace, quantity: str, at: KeyPath, kept: LatencyTable | None
) -> tuple[LatencyTable | None, list[Fault]]:
    measure = f"nas bench STUDY{' --energy' * quantity.startswith(ENERGY)}"
    try:
        if at[1] in ("device", "devices"):
            device, faults = read_plugin(document, at, TIMED_ON)
            if device is None:
                return None, faults
            table = recall(space, device, str(at[0])) if kept is None else kept
            if table is None:
                refusal = "of which no table is remembered for this space, with the versions that are installed"
                return None, [document.fault(at, refusal, f"after {measure} --device '{_said(device)}'")]
            if table.conditions.device != device.settled():
                return None, [document.fault(at, "another device than the run began with", str(table.conditions))]
        else:
            file = Path(str(document.get(at)))
            table = LatencyTable.read(file) if kept is None else kept
            if kept is not None and file.is_file() and LatencyTable.read(file) != kept:
                found = f"'{file}', another table than the run began with"
                return None, [document.fault(at, found, "the same one")]
        if table.quantity != quantities.parted(quantity)[0]:
            return None, [document.fault(at, f"a table of {table.quantity}", f"one of {at[0]}: {measure} --to FILE")]
        table.additive(space)
    except LatencyError as refusal:
        return None, [document.refused(at, refusal, f"a table of this space: {measure} --to FILE")]
    return table, []


def _said(device: Device) -> str:
    """A device in a command: what is no default."""
    defaults = {one.name: one.default for one in fields(device)}
    own = {key: value for key, value in options_of(device).items() if value != defaults.get(key)}
    return json.dumps(own).replace('"', "")
