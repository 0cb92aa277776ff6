"""What can be bounded or wanted of a model: `Quantity`, and the counted ones, which are known before anything runs."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, ClassVar, Literal, final

from typing_extensions import override

from nas import words
from nas.errors import QuantityError
from nas.quantities._terms import Term

if TYPE_CHECKING:
    from nas.axes import AxisTable

Origin = Literal["counted", "measured", "tabled"]
Style = Literal["count", "percent", "plain"]
OverInputs = Literal["share", "mean", "together"]

UNITS: Mapping[str, Mapping[str, float]] = {
    "": {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12},
    "B": {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30},
    "ms": {"ms": 1, "us": 1e-3, "s": 1e3},
    "ns": {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9},
    "nJ": {"nJ": 1, "uJ": 1e3, "mJ": 1e6, "J": 1e9},
    "images/h": {"images/h": 1, "images/s": 3600},
}
"""Unit of a quantity -> what may follow a number in a text, and what that is in the unit."""

RESERVED = frozenset(
    [
        "study",
        "strategy",
        "seed",
        "number",
        "model",
        "digest",
        "band",
        "feasible",
        "seconds",
        "standard_error",
        "state",
        "share",
        "cached",
        "error",
        "images",
        "smallest",
        "knee",
        "hypervolume",
        "commit",
    ]
)
"""Other columns of tables that quantities stand in, and other keys of results: no quantity may be called so."""
PREFIXES: Mapping[float, str] = {1.0: "", 1e-3: "k", 1e-6: "M", 1e-9: "G"}
"""By what values are multiplied on an axis -> what stands there before their unit."""


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
    origin   counted (in closed form, before anything runs), tabled (of every architecture, before it runs) or measured
    better   whether less or more of it is wanted
    ideal    the best value there can be
    worst    the worst; None for that of the base model, or, where it has none, the worst seen
    unit     of its values
    shown    as a count (1.25 G), as percent of 1, or as a plain number
    label    what an axis of a plot says, and `scale`, by what values are multiplied there
    short    what a narrow column calls it, and `noun`, what a sentence does; the title where they are empty
    about    what readers of a table must know, as a sentence without its full stop
    over_inputs   how its value of several inputs comes from those of each: the share of those of which something is
                  true, their mean, or not at all (together: one alone says nothing)
    """

    absence: ClassVar[str] = ""
    """Why a model may have none of it, as what a sentence says of it; empty where every model has some."""

    name: str
    title: str
    origin: Origin
    better: Literal["less", "more"] = "less"
    ideal: float = 0.0
    worst: float | None = None
    unit: str = ""
    shown: Style = "plain"
    label: str = ""
    scale: float = 1.0
    short: str = ""
    noun: str = ""
    about: str = ""
    over_inputs: OverInputs = "together"

    def __post_init__(self) -> None:
        assert self.name not in RESERVED, (
            f"a quantity may not be called '{self.name}': tables have a column of that name"
        )

    @property
    def heading(self) -> str:
        """What a narrow column calls it."""
        return self.short or self.title

    @property
    def in_text(self) -> str:
        """What a sentence calls it."""
        return self.noun or self.title

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

    @property
    def axis_unit(self) -> str:
        """The unit of values that are multiplied by `axis_scale`: %, M, kB."""
        return "%" if self.shown == "percent" else f"{PREFIXES[self.scale]}{self.unit}"

    def show_difference(self, difference: float) -> str:
        """A difference of two values, with its sign; of two shares, in percentage points: +0.28."""
        if self.shown == "percent":
            return words.points(difference)
        return f"{'-' if difference < 0 else '+'}{self.show(abs(difference))}"

    @property
    def difference_unit(self) -> str:
        """What stands behind `show_difference` in a sentence."""
        return "points" if self.shown == "percent" else ""

    @property
    def partial(self) -> bool:
        """Whether there are models that have none of it."""
        return bool(self.absence)

    @property
    def averaged(self) -> bool:
        """Whether it is a mean over inputs, so that models can be compared input by input, and part by part."""
        return self.over_inputs != "together"

    def standard_error(self, value: float, inputs: int) -> float | None:
        """Of a value over so many inputs, drawn at random; None where the value does not tell how inputs differ."""
        return math.sqrt(max(0.0, value * (1 - value)) / inputs) if self.over_inputs == "share" else None

    def among(self, counts: Mapping[str, int]) -> int | None:
        """How much of it a model has whose counted quantities are `counts`; None when it is not one of them."""
        return counts.get(self.name)

    def show(self, value: float, digits: int | None = None) -> str:
        """A value as people read it: 1.25 G, 1.25 MB, 96.44 %, 3.20 ms. `digits` are for counts, see `words.amount`."""
        if self.shown == "percent":
            return words.percent(value)
        if self.shown == "plain":
            return f"{words.significant(value)} {self.unit}".rstrip()
        number, _, prefix = words.amount(value, digits).partition(" ")
        return f"{number} {prefix}{self.unit}".rstrip()

    @property
    def allowed(self) -> str:
        """What `read` reads, in words."""
        *units, last = filter(None, self._units)
        of = "" if self.shown == "percent" else " of the base model"
        return f"a number, also with {', '.join(units)}{' or ' * bool(units)}{last}, or per cent{of} ('50%')"

    def read(self, value: object) -> Amount:
        """A value as people write it: a number in the quantity's unit, or a text with a prefix or a unit ("1.2 G",
        "1.2 GFLOPs", "3 ms", "200 MiB").

        "50%" is a share of the base model's value; where values are shown as per cent, it is the value one half.
        Raises `QuantityError` that says what is allowed.
        """
        amount = self._amount(value) if isinstance(value, str) else _number(value)
        if amount is None or not 0 <= amount.value < math.inf:
            raise QuantityError(f"{self.name}: found {value!r}; allowed: {self.allowed}")
        return amount

    def _amount(self, text: str) -> Amount | None:
        """What a text says; None when it says nothing. A bare number is no text: "50" is rather a lost "50%"."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(%|[A-Za-z][A-Za-z/ ]*?)\s*", text)
        if match is None:
            return None
        number, unit = float(match[1]), match[2]
        if unit == "%":
            return Amount(number / 100, relative=self.shown != "percent")
        # Only its own name may follow: FLOPs where MACs are bounded would be one limit misread by two.
        unit = unit.removesuffix(self.title).rstrip() if not self.unit else unit
        return Amount(number * self._units[unit]) if unit in self._units else None

    @property
    def _units(self) -> Mapping[str, float]:
        """What may follow a number, and what that is in the quantity's unit."""
        return UNITS.get(self.unit, {self.unit: 1.0})

    def _in_unit(self) -> str:
        return f" ({self.unit})" if self.unit else ""


def _number(value: object) -> Amount | None:
    """The amount that a number of any type is, numpy's among them; None when it is no number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return Amount(float(value))
    except OverflowError:
        return None


@dataclass(frozen=True, kw_only=True)
class Counted(Quantity, ABC):
    """A quantity in closed form over the axes of a model: it can be a limit, and sampling keeps to it exactly.

    Subclasses give the fields of `Quantity` their values, and say the formula. Trials record every counted quantity.
    """

    origin: Origin = "counted"
    shown: Style = "count"

    def applies(self, table: AxisTable) -> bool:  # noqa: ARG002  (for partial ones)
        """Whether a model with this axis table has any of it."""
        return True

    @abstractmethod
    def terms(self, table: AxisTable) -> Sequence[Term]:
        """The quantity of a model with this axis table, as a sum of terms."""


@dataclass(frozen=True, kw_only=True)
class Multiple(Quantity, ABC):
    """Another unit of a counted quantity: `times` as many as it has of `of`. It is shown beside it, never recorded."""

    of: str
    times: int
    origin: Origin = "counted"
    shown: Style = "count"

    @override
    def among(self, counts: Mapping[str, int]) -> int | None:
        return self.times * counts[self.of] if self.of in counts else None


@dataclass(frozen=True, kw_only=True)
class OfTable(Quantity, ABC):
    """What tables say of every architecture of a space, and no formula of a model: it is known before an architecture
    runs, in whole numbers, and can be a limit as counted quantities can. Trials of a study with such a table record it.
    """

    origin: Origin = "tabled"

    def named(self, table: str) -> OfTable:
        """The same of one of several tables: latency.phone."""
        return replace(self, name=f"{self.name}.{table}", title=f"{self.title}, {table}", label="")


def parted(name: str) -> tuple[str, str]:
    """What is told, and of which of several tables, empty for the only one: latency and phone of latency.phone."""
    plain, *table = re.split(r"\.", name, maxsplit=1)
    return plain, table[0] if table else ""


@dataclass(frozen=True, kw_only=True)
class Timed(OfTable, ABC):
    """What was timed on a device, in nanoseconds."""

    unit: str = "ns"
    scale: float = 1e-6

    @override
    def show(self, value: float, digits: int | None = None) -> str:
        return words.duration(value, digits)

    @property
    @override
    def axis_unit(self) -> str:
        return "ms"

    @property
    @override
    def axis_label(self) -> str:
        return f"{self.title} (ms)"


@dataclass(frozen=True, kw_only=True)
class Reciprocal(OfTable, ABC):
    """How many of a table's `of` go into an hour's worth, for each image of its batch: the more, the less of `of` there
    is. A bound on it is one on `of`, the other way round.
    """

    of: str
    whole: float

    def times(self, batch: int) -> float:
        """What it is times the value of `of`."""
        return self.whole * batch
