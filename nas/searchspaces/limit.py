"""A limit: what an architecture may cost at most, or at least, and the lattice of all that keep to it."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final, overload

import numpy as np
from numpy.typing import NDArray

from nas.errors import LimitError, nearest
from nas.searchspaces.counting.factors import Additive
from nas.searchspaces.counting.lattice import Lattice
from nas.searchspaces.space import Indices, SearchSpace

Bound = float | str | Sequence[float | str | None]
"""A greatest value; or a band (least, greatest), None for an open end. A number, or "50%" of the base model."""

_METRICS = {"macs": ("macs", 1), "flops": ("macs", 2), "params": ("params", 1)}
"""Key -> the metric that costs are counted in, and how many of the key's units it is: 1 MAC is 2 FLOPs."""
_MOST = sys.float_info.max
"""A bound is kept as a float."""
_FINER = 2**18
"""States of the second try, when the lattice is not exact and found nothing."""


class CostModel(Protocol):
    """What a limit must know of costs: `nas.supernets.cost.Cost`, or a fake in a test."""

    @property
    def space(self) -> SearchSpace:
        """The space whose architectures are counted."""
        ...

    def additive(self, metric: str) -> Additive:
        """The metric ("macs" or "params") as a sum of factors."""
        ...

    def base(self, metric: str) -> int:
        """The metric of the whole base model, which per cent refer to."""
        ...


@final
class Limit:
    """Bounds on the costs of architectures; all of them hold at once.

    `Limit(cost, macs="50%")`, `Limit(cost, flops=1.2e9, params=(3e6, "60%"))`. The lattice of what is allowed is
    built at once, in seconds at most. Raises LimitError when bounds cannot be read (one line for each), or when no
    architecture keeps to all of them.
    """

    def __init__(self, cost: CostModel, **bounds: Bound) -> None:
        if not bounds:
            raise LimitError(f"a limit bounds at least one of {', '.join(_METRICS)}")
        if not all(hasattr(cost, name) for name in ("space", "additive", "base")):
            hint = "; pass supernet.cost" if hasattr(cost, "cost") else ""
            raise LimitError(f"cost: found a {type(cost).__name__}; allowed: a cost model, as supernet.cost is{hint}")
        self.space = cost.space
        self.bounds: dict[str, tuple[float, float]] = {}
        """Metric ("macs", "params") -> least and greatest value allowed, both included."""
        self._costs: dict[str, Additive] = {}
        self._reachable: dict[str, tuple[int, int]] = {}
        faults: list[str] = []
        for key, bound in bounds.items():
            try:
                self._read(cost, key, bound)
            except LimitError as fault:
                faults.append(str(fault))
        if faults:
            raise LimitError("\n".join(faults))
        self.lattice = self._built()
        """All architectures that the limit allows."""

    def _read(self, cost: CostModel, key: str, bound: Bound) -> None:
        """Adds the bounds of one key, and what they bound."""
        metric, units = _metric(key)
        if metric in self._costs:
            raise LimitError("macs and flops bound the same (1 MAC is 2 FLOPs): give one of them")
        self._costs[metric] = additive = cost.additive(metric)
        whole = Lattice(self.space.n_values, self.space.rules, [additive], [(-math.inf, math.inf)])
        self._reachable[metric] = whole.reachable[0]
        self.bounds[metric] = _Reader(key, units, cost.base(metric), whole.reachable[0][1]).bounds(bound)

    @overload
    def allows(self, x: Mapping[str, Any]) -> bool: ...
    @overload
    def allows(self, x: Sequence[Mapping[str, Any]] | Indices) -> NDArray[np.bool_]: ...
    def allows(self, x: Mapping[str, Any] | Sequence[Mapping[str, Any]] | Indices) -> bool | NDArray[np.bool_]:
        """Whether one architecture keeps to the limit; or which of a list or a table of them do, shape (n,)."""
        table = self.space.as_table(x)
        allowed = np.ones(len(table), bool)
        for metric, (low, high) in self.bounds.items():
            values = self._costs[metric](table)
            allowed &= (values >= low) & (values <= high)
        return bool(allowed[0]) if isinstance(x, Mapping) else allowed

    @property
    def share(self) -> float:
        """The part of the space's architectures that the limit allows (those represented, where the lattice is not
        exact).
        """
        return self.lattice.count / self.space.size

    def describe(self) -> str:
        """The bounds in words, MACs and FLOPs side by side."""
        return " and ".join(f"{metric} {_band(metric, *bounds)}" for metric, bounds in self.bounds.items())

    def __repr__(self) -> str:
        return f"Limit({self.describe()})"

    def _built(self) -> Lattice:
        costs, bounds = list(self._costs.values()), list(self.bounds.values())
        for metric, (low, high) in self.bounds.items():
            least, most = self._reachable[metric]
            if low > most or high < least:
                asked = f"{metric} {_band(metric, low, high)}"
                raise LimitError(f"no architecture has {asked}; reachable: {_band(metric, least, most)}")
        lattice = Lattice(self.space.n_values, self.space.rules, costs, bounds)
        if not lattice.count and not lattice.exact:
            lattice = Lattice(self.space.n_values, self.space.rules, costs, bounds, _FINER)
        if not lattice.count:
            reachable = ", ".join(f"{metric} {_band(metric, *ends)}" for metric, ends in self._reachable.items())
            found = "no architecture has" if lattice.exact else "no architecture was found that has"
            raise LimitError(f"{found} {self.describe()}; reachable, each by itself: {reachable}; widen a bound")
        return lattice


@final
@dataclass(frozen=True)
class _Reader:
    """Reads the bounds of one key; values of the key are `units` times those of its metric."""

    key: str
    units: int
    base: int
    most: int

    def bounds(self, bound: Bound) -> tuple[float, float]:
        """Least and greatest value of the metric."""
        if isinstance(bound, list | tuple):
            if len(bound) != 2 or list(bound) == [None, None]:
                raise self.fault(bound)
            low = -math.inf if bound[0] in (None, 0) else self.number(bound[0])
            high = math.inf if bound[1] is None else self.number(bound[1])
            if low > high:
                raise self.fault(bound)
            return low, high
        return -math.inf, self.number(bound)

    def number(self, value: object) -> float:
        """A number, or per cent of the base model."""
        if isinstance(value, str):
            part = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*%\s*", value)
            share = float(part[1]) / 100 if part else math.nan
            if not 0 < share <= max(1.0, self.most / self.base):
                raise self.fault(value)
            return share * self.base
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value <= _MOST:
            raise self.fault(value)
        return float(value) / self.units

    def fault(self, found: object) -> LimitError:
        """What was found, and what is allowed."""
        percent = f"'{max(1.0, math.floor(1000 * self.most / self.base) / 1000):.0%}'"
        number = f"a number above 0, or per cent of the base model ('50%', at most {percent})"
        return LimitError(f"limit '{self.key}': found {found!r}; allowed: {number}, or (least, greatest) of these")


def _metric(key: str) -> tuple[str, int]:
    if key not in _METRICS:
        raise LimitError(f"unknown limit '{key}'; allowed: {', '.join(_METRICS)}{nearest(key, _METRICS)}")
    return _METRICS[key]


def _band(metric: str, low: float, high: float) -> str:
    """A band of a metric in words: "<= 0.63 G (FLOPs <= 1.25 G)"."""
    plain = _range(low, high)
    return f"{plain} (flops {_range(2 * low, 2 * high)})" if metric == "macs" else plain


def _range(low: float, high: float) -> str:
    if math.isinf(low):
        return f"<= {_short(high)}"
    return f">= {_short(low)}" if math.isinf(high) else f"{_short(low)} to {_short(high)}"


def _short(value: float) -> str:
    """A count with four digits: "1.254 G"."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g}"
