"""Latency: how long a batch takes on a device, as a table predicts it that was measured there (`nas bench`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from nas.quantities._base import Timed


@final
@dataclass(frozen=True, kw_only=True)
class Latency(Timed):
    """Nanoseconds of a forward pass, predicted."""

    absence: ClassVar[str] = "known from a table alone (nas bench STUDY --to FILE), which latency.table names"

    name: str = "latency"
    title: str = "predicted latency"
