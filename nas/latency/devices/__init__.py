"""Devices on which models are timed, one file each: `device: {use: cpu_torch, threads: 2}` names one, with options."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from nas import plugins
from nas.documents.markers import Plugged
from nas.errors import LatencyError
from nas.latency.devices._base import Device

__all__ = ["DEVICE", "Device", "find", "names", "options_of"]


def find(name: str) -> type[Device]:
    """The device of this name: a frozen dataclass whose fields are its options. `LatencyError` names those that there
    are.
    """
    return plugins.find(__name__, name, Device, LatencyError)  # type: ignore[type-abstract]


def names() -> list[str]:
    """Names of all devices: files of this folder, and entry points of the group "nas.latency.devices"."""
    return plugins.names(__name__)


DEVICE = Plugged("device", names, find)


def options_of(device: Device) -> dict[str, Any]:
    """What a study says of a device: plain data, every default written out."""
    return {"use": plugins.name_of(__name__, type(device), LatencyError), **asdict(device)}
