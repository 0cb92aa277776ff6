"""Tables that this user has measured, in the cache folder: one for each space, device and version of what computes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nas.errors import LatencyError
from nas.latency.devices import Device, options_of
from nas.latency.table import FORMAT, LATENCY, LatencyTable
from nas.searchspaces import SearchSpace
from nas.supernets.of_space import fingerprint
from nas.system import user_cache


def remember(table: LatencyTable) -> None:
    """Keeps a table for `recall`, in the place of an older one; where the folder cannot be written to, nothing."""
    user_cache.remember(table, _about(table.space, table.conditions.options, table.conditions.about, table.quantity))


def recall(space: SearchSpace, device: Device, quantity: str = LATENCY) -> LatencyTable | None:
    """The table of a quantity that was measured of this space on this device, with these versions; None where none was,
    or where the device is not here.
    """
    try:
        about = _about(fingerprint(space), options_of(device.settled()), device.about, quantity)
        table = user_cache.recall(LatencyTable, about)
        if table is not None:
            table.check(Path("a remembered table"))
            table.additive(space)
    except LatencyError:  # a device that is missing, or a file that somebody else has written
        return None
    return table


def _about(space: str, options: Mapping[str, Any], about: Mapping[str, str], quantity: str) -> dict[str, Any]:
    """All that times depend on; models are timm's."""
    return {
        f"table of {quantity}": FORMAT,
        "space": space,
        "device": dict(options),
        "about": dict(about),
        "timm": version("timm"),
    }
