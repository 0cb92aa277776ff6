"""Throughput: how many images a device takes on, as a table of latencies at some batch size predicts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, final

from typing_extensions import override

from nas import words
from nas.quantities._base import Reciprocal


@final
@dataclass(frozen=True, kw_only=True)
class Throughput(Reciprocal):
    """Images per hour, so that whole numbers are fine enough; people read and write it per second."""

    absence: ClassVar[str] = "known from a table of latencies alone (nas bench STUDY --batch N --to FILE)"

    name: str = "throughput"
    title: str = "predicted throughput"
    of: str = "latency"
    whole: float = 3600e9
    better: Literal["less", "more"] = "more"
    ideal: float = float("inf")
    unit: str = "images/h"

    @override
    def show(self, value: float, digits: int | None = None) -> str:
        return f"{words.significant(value / 3600) if digits is None else f'{value / 3600:.{digits}g}'} images/s"

    @property
    @override
    def axis_label(self) -> str:
        return f"{self.title} (images/s)"

    @property
    @override
    def axis_scale(self) -> float:
        return 1 / 3600

    @property
    @override
    def axis_unit(self) -> str:
        return "images/s"
