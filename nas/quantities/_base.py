"""What can be bounded or wanted of a model: `Quantity`, and the counted ones, which are known before anything runs."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

from nas import words
from nas.errors import QuantityError
from nas.quantities._terms import Term

if TYPE_CHECKING:
    from nas.supernets.axes import AxisTable

Origin = Literal["counted", "measured", "timed"]
Shown = Literal["count", "percent", "plain"]

UNITS: Mapping[str, Mapping[str, float]] = {
    "": {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12},
    "B": {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30},
    "ms": {"ms": 1, "us": 1e-3, "s": 1e3},
}
"""Unit of a quantity -> how values may be written, and what each is in that unit. A bare number is in the unit."""


@final
@dataclass(frozen=True)
class Amount:
    """A value that somebody wrote: absolute, or (`relative`) as a share of the whole base model's."""

    value: float
    relative: bool = False

    def of(self, base: float) -> float:
        """The value where the base model has `base`."""
        return self.value * base if self.relative else self.value


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """Something that a model has a value of, and all that reading, comparing and showing must know of it.

    name     its key in YAML, in trials, frames and tables
    title    what tables call it
    origin   counted (in closed form, before anything runs), measured (on data) or timed (on a device)
    better   whether less or more of it is wanted
    ideal    the best value there can be
    worst    the worst; None for that of the base model, or, where it has none, the worst seen
    unit     of its values
    shown    as a count (1.25 G), as percent of 1, or as a plain number
    label    what an axis of a plot says, and `scale`, by what values are multiplied there
    """

    name: str
    title: str
    origin: Origin
    better: Literal["less", "more"] = "less"
    ideal: float = 0.0
    worst: float | None = None
    unit: str = ""
    shown: Shown = "plain"
    label: str = ""
    scale: float = 1.0

    @property
    def maximise(self) -> bool:
        """Whether more of it is better."""
        return self.better == "more"

    @property
    def axis_label(self) -> str:
        """What an axis of a plot says whose values are multiplied by `axis_scale`."""
        return self.label or (f"{self.title} (%)" if self.shown == "percent" else self.title + self._in_unit())

    @property
    def axis_scale(self) -> float:
        """By what values are multiplied on the axis of a plot."""
        return 100.0 if self.shown == "percent" else self.scale

    def show(self, value: float) -> str:
        """A value as people read it: 1.25 G, 96.44 %, 3.20 ms."""
        if self.shown == "percent":
            return words.percent(value)
        text = words.amount(value) if self.shown == "count" else words.significant(value)
        return f"{text} {self.unit}" if self.unit else text

    def read(self, value: object) -> Amount:
        """A value as people write it: a number, a number with a unit or a prefix ("1.2 G", "3 ms", "200 MiB"), or a
        share of the base model's ("50%"). Raises `QuantityError` that says what is allowed.
        """
        if isinstance(value, str):
            return self._read_text(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise self._unreadable(value)
        return Amount(float(value))

    def _read_text(self, text: str) -> Amount:
        match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*|%)\s*", text)
        if match is None:
            raise self._unreadable(text)
        number, unit = float(match[1]), match[2]
        if unit == "%":
            return Amount(number / 100, relative=True)
        known = UNITS.get(self.unit, {self.unit: 1.0})
        if unit not in known or (not unit and self.unit):
            raise self._unreadable(text)
        return Amount(number * known[unit])

    def _unreadable(self, value: object) -> QuantityError:
        known = [unit for unit in UNITS.get(self.unit, {self.unit: 1.0}) if unit]
        example = f'"1.5 {known[0] if self.unit else "G"}"'
        return QuantityError(
            f"{self.name}: found {value!r}; allowed: a number, one with {' or '.join(known) or 'no unit'} such as "
            f'{example}, or a share of the base model such as "50%"'
        )

    def _in_unit(self) -> str:
        return f" ({self.unit})" if self.unit else ""


@dataclass(frozen=True, kw_only=True)
class Counted(Quantity, ABC):
    """A quantity in closed form over the axes of a model: it can be a limit, and sampling keeps to it exactly.

    Subclasses give the fields of `Quantity` their values, and say the formula. Trials record every counted quantity.
    """

    origin: Origin = "counted"
    shown: Shown = "count"

    @abstractmethod
    def terms(self, table: AxisTable) -> Sequence[Term]:
        """The quantity of a model with this axis table, as a sum of terms."""


@dataclass(frozen=True, kw_only=True)
class Multiple(Quantity, ABC):
    """Another unit of a counted quantity: `times` as many as it has of `of`. It is shown beside it, never recorded."""

    of: str
    times: int
    origin: Origin = "counted"
    shown: Shown = "count"
