"""A limit: what an architecture may cost at most, or at least, and the lattice of all that keep to it.

What can be bounded is every counted quantity of `nas.quantities`, and every multiple of one. Bounds are kept in the
counted quantity: a bound of 1.2 G FLOPs is one of 0.6 G MACs.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final, overload

import numpy as np
from numpy.typing import NDArray

from nas import quantities
from nas.errors import LimitError, QuantityError, nearest
from nas.quantities import Multiple, Quantity, Reciprocal
from nas.searchspaces.counting.factors import Additive, Indices, Rule, Table
from nas.searchspaces.counting.lattice import Lattice

Bound = float | str | Sequence[float | str | None]
"""A greatest value; or a band (least, greatest), None for an open end. Each is a number, or a text that the quantity
reads: "1.2 G", or "50%" of the base model.
"""

_MOST = sys.float_info.max
"""A bound is kept as a float."""
_DIGITS = 4
"""Significant digits of the counts in messages: a limit just missed must look different from what was reached."""
_FINER = 2**18
"""States of the second try, when the lattice is not exact and found nothing."""


class CountableSpace(Protocol):
    """What a limit must know of a space: which rows of indices are architectures. `SearchSpace` is one."""

    @property
    def n_values(self) -> tuple[int, ...]:
        """Number of values of each choice."""
        ...

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What is true for architectures, and for no other rows."""
        ...

    @property
    def size(self) -> int:
        """Exact number of architectures."""
        ...

    def as_table(self, x: Mapping[str, Any] | Sequence[Mapping[str, Any]] | Indices) -> Table:
        """Architectures as a table (n, choices)."""
        ...


class CostModel(Protocol):
    """What a limit must know of costs: `nas.supernets.cost.Cost`, or a fake in a test."""

    @property
    def space(self) -> CountableSpace:
        """The space whose architectures are counted."""
        ...

    def additive(self, name: str, /) -> Additive:
        """The counted quantity called `name` ("macs", "params" ...) as a sum of factors."""
        ...

    def reciprocal(self, name: str, /) -> tuple[str, float]:
        """What a reciprocal ("throughput") is one of, and what it is times that."""
        ...

    def base(self, name: str, /) -> int:
        """That quantity of the whole base model, which per cent refer to."""
        ...


@final
class Limit:
    """Bounds on the costs of architectures; all of them hold at once.

    `Limit(cost, macs="50%")`, `Limit(cost, flops="1.2 G", params=(3e6, "60%"))`. The lattice of what is allowed is
    built at once, in seconds at most. Raises LimitError when bounds cannot be read (one line for each), or when no
    architecture keeps to all of them.
    """

    def __init__(self, cost: CostModel, **bounds: Bound) -> None:
        if not bounds:
            raise LimitError(f"a limit bounds at least one of {', '.join(q.name for q in quantities.costs())}")
        if not all(hasattr(cost, name) for name in ("space", "additive", "base")):
            hint = "; pass supernet.cost" if hasattr(cost, "cost") else ""
            raise LimitError(f"cost: found a {type(cost).__name__}; allowed: a cost model, as supernet.cost is{hint}")
        self.space = cost.space
        self.bounds: dict[str, tuple[float, float]] = {}
        """Counted quantity ("macs", "params") -> least and greatest value allowed, both included."""
        self._costs: dict[str, Additive] = {}
        self._reachable: dict[str, tuple[int, int]] = {}
        faults: list[str] = []
        keys: dict[str, Quantity] = {}
        for key, bound in bounds.items():
            try:
                self._read(cost, key, bound, keys)
            except LimitError as fault:
                faults.append(str(fault))
        if faults:
            raise LimitError("\n".join(faults))
        self.lattice = self._built()
        """All architectures that the limit allows."""

    def _read(self, cost: CostModel, key: str, bound: Bound, keys: dict[str, Quantity]) -> None:
        """Adds the bounds of one key, and what they bound; `keys` are what was bounded before, by counted quantity."""
        boundable = _boundable([key])
        if key not in boundable:
            usual = [quantity.name for quantity in quantities.costs()]
            raise LimitError(f"unknown limit '{key}'; allowed: {', '.join(usual)}{nearest(key, boundable)}")
        quantity = boundable[key]
        counted, times = cost.reciprocal(key) if isinstance(quantity, Reciprocal) else _counted(quantity)
        if counted in keys:
            raise _same(keys[counted], quantity)
        keys[counted] = quantity
        self._costs[counted] = additive = cost.additive(counted)
        whole = Lattice(self.space.n_values, self.space.rules, [additive], [(-math.inf, math.inf)])
        self._reachable[counted] = whole.reachable[0]
        least, most = whole.reachable[0]
        if isinstance(quantity, Reciprocal):
            # A reciprocal is the greater, the less there is of what it is one of: its ends change places.
            reader = _Reader(quantity, 1, cost.base(key), math.floor(times / max(1, least)))
            low, high = reader.bounds(bound)
            self.bounds[counted] = (times / high, times / low if low > 0 else math.inf)
            return
        self.bounds[counted] = _Reader(quantity, times, cost.base(counted), most).bounds(bound)

    @overload
    def allows(self, x: Mapping[str, Any]) -> bool: ...
    @overload
    def allows(self, x: Sequence[Mapping[str, Any]] | Indices) -> NDArray[np.bool_]: ...
    def allows(self, x: Mapping[str, Any] | Sequence[Mapping[str, Any]] | Indices) -> bool | NDArray[np.bool_]:
        """Whether one architecture keeps to the limit; or which of a list or a table of them do, shape (n,)."""
        table = self.space.as_table(x)
        allowed = np.ones(len(table), bool)
        for counted, (low, high) in self.bounds.items():
            values = self._costs[counted](table)
            allowed &= (values >= low) & (values <= high)
        return bool(allowed[0]) if isinstance(x, Mapping) else allowed

    @property
    def share(self) -> float:
        """The part of the space's architectures that the limit allows (those represented, where the lattice is not
        exact).
        """
        return self.lattice.count / self.space.size

    def describe(self) -> str:
        """The bounds in words, each beside its multiples: MACs and FLOPs."""
        return " and ".join(_band(counted, *bounds) for counted, bounds in self.bounds.items())

    def __repr__(self) -> str:
        return f"Limit({self.describe()})"

    def _built(self) -> Lattice:
        """The lattice of what is allowed. Raises LimitError when that is nothing."""
        costs, bounds = list(self._costs.values()), list(self.bounds.values())
        # A bound that nothing reaches by itself is the commonest mistake, and known without a lattice.
        for counted, (low, high) in self.bounds.items():
            least, most = self._reachable[counted]
            if low > most or high < least:
                asked, reachable = _band(counted, low, high), _band(counted, least, most)
                raise LimitError(f"no architecture has {asked}; reachable: {reachable.removeprefix(f'{counted} ')}")
        lattice = Lattice(self.space.n_values, self.space.rules, costs, bounds)
        # Bins are as bad as their worst member, so a coarse lattice may miss the little that fits several bounds.
        if not lattice.count and not lattice.exact:
            lattice = Lattice(self.space.n_values, self.space.rules, costs, bounds, _FINER)
        if not lattice.count:
            reachable = ", ".join(_band(counted, *ends) for counted, ends in self._reachable.items())
            found = "no architecture has" if lattice.exact else "no architecture was found that has"
            raise LimitError(f"{found} {self.describe()}; reachable, each by itself: {reachable}; widen a bound")
        return lattice


@final
@dataclass(frozen=True)
class _Reader:
    """Reads the bounds of one key, whose values are `times` those of the counted quantity that is bounded.

    `base` is what the base model has of the counted quantity, and `most` what any architecture has.
    """

    quantity: Quantity
    times: float
    base: int
    most: int

    def bounds(self, bound: Bound) -> tuple[float, float]:
        """Least and greatest value of the counted quantity."""
        if isinstance(bound, list | tuple):
            if len(bound) != 2 or list(bound) == [None, None]:
                raise self.fault(bound)
            low = -math.inf if bound[0] in (None, 0) else self.number(bound[0])
            high = math.inf if bound[1] is None else self.number(bound[1])
            if low > high:
                raise self.fault(bound)
            return low, high
        return (self.number(bound), math.inf) if self.quantity.maximise else (-math.inf, self.number(bound))

    def number(self, value: object) -> float:
        """One bound, in the counted quantity."""
        try:
            amount = self.quantity.read(value)
        except QuantityError as fault:
            raise self.fault(value) from fault
        most = max(1.0, self.most / self.base) if amount.relative else _MOST
        if not 0 < amount.value <= most:
            raise self.fault(value)
        return amount.of(self.base) if amount.relative else amount.value / self.times

    def fault(self, found: object) -> LimitError:
        """What was found, and what is allowed."""
        most = f"'{max(1.0, math.floor(1000 * self.most / self.base) / 1000):.0%}'"
        allowed = f"{self.quantity.allowed}, above 0 and at most {most}, or (least, greatest) of these"
        return LimitError(f"limit '{self.quantity.name}': found {found!r}; allowed: {allowed}")


def _boundable(among: Sequence[str] = ()) -> dict[str, Quantity]:
    """What can be bounded, by name; see `quantities.every_cost`."""
    return {quantity.name: quantity for quantity in quantities.every_cost(among)}


def _counted(quantity: Quantity) -> tuple[str, float]:
    """The name of what is counted, and how many of the quantity one of it is: 2 FLOPs are one MAC."""
    return (quantity.of, quantity.times) if isinstance(quantity, Multiple) else (quantity.name, 1)


def _same(first: Quantity, second: Quantity) -> LimitError:
    """Two keys bound the same: a quantity and its multiple, or two multiples of one."""
    known = ", ".join(
        f"{q.name} = {q.times} x {q.of}" if isinstance(q, Multiple) else f"{q.name} is so many for each of {q.of}"
        for q in (first, second)
        if isinstance(q, Multiple | Reciprocal)
    )
    return LimitError(f"{first.name} and {second.name} bound the same ({known}): give one of them")


def _band(counted: str, low: float, high: float) -> str:
    """A band of a counted quantity in words, with its multiples: "macs <= 0.63 G (flops <= 1.25 G)"."""
    boundable = _boundable([counted])
    multiples = [q for q in boundable.values() if isinstance(q, Multiple) and q.of == counted]
    others = ", ".join(f"{q.name} {_range(q, q.times * low, q.times * high)}" for q in multiples)
    return f"{counted} {_range(boundable[counted], low, high)}" + (f" ({others})" if others else "")


def _range(quantity: Quantity, low: float, high: float) -> str:
    least, most = (quantity.show(end, _DIGITS) if math.isfinite(end) else "" for end in (low, high))
    if not least:
        return f"<= {most}"
    return f"{least} to {most}" if most else f">= {least}"
