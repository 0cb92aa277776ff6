"""Latency: how long a batch takes on a device, as a table predicts it that was measured there (`nas bench`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.quantities._base import Timed


@final
@dataclass(frozen=True, kw_only=True)
class Latency(Timed):
    """Nanoseconds of a forward pass, predicted."""

    name: str = "latency"
    title: str = "predicted latency"
    label: str = "predicted latency (ms)"
