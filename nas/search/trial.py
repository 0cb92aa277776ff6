"""`Trial`: an architecture that a strategy proposed, and what is known of it. `Outcome`: what came of measuring one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import stdev
from typing import Any, Literal, final

from nas import quantities
from nas.errors import StrategyError, nearest
from nas.searchspaces.architecture import Architecture

State = Literal["done", "stopped", "failed"]

SHARE = "share"
"""The note of a trial that saw a part of the images only."""
PARTS = "parts"
"""The note of a trial that was measured part by part: the first objective's value on each."""


@final
@dataclass(frozen=True)
class Outcome:
    """What came of measuring an architecture.

    metrics   by name; empty after a failure
    error     why it failed; None if it did not
    seconds   that measuring took
    cached    whether nothing was measured, since the outcome was known
    share     of the images that it was measured on: below 1 when it was given up, or failed, after a part of them
    """

    metrics: Mapping[str, float]
    error: str | None = None
    seconds: float = 0.0
    cached: bool = False
    share: float = 1.0

    @property
    def state(self) -> State:
        """The state of a trial with this outcome."""
        return "failed" if self.error is not None else "stopped" if self.share < 1 else "done"

    @classmethod
    def of(cls, metrics: Mapping[str, Any], seconds: float, *, share: float = 1.0) -> Outcome:
        """The outcome of metrics that came back; a failure if one of them is not finite."""
        values = {name: float(value) for name, value in metrics.items()}
        bad = ", ".join(f"{name} is {value}" for name, value in values.items() if not math.isfinite(value))
        return cls({}, bad, seconds, share=share) if bad else cls(values, None, seconds, share=share)

    @classmethod
    def measured(cls, measure: Callable[[], Mapping[str, Any]]) -> Outcome:
        """The outcome of measuring now. A candidate that cannot be measured must not end a search of hours."""
        started = time.perf_counter()
        try:
            metrics = measure()
        except Exception as fault:
            return cls({}, f"{type(fault).__name__}: {fault}", time.perf_counter() - started)
        return cls.of(metrics, time.perf_counter() - started)


@final
@dataclass(frozen=True)
class Trial:
    """One proposal of a strategy, and what is known of it.

    number        counts the strategy's proposals, from 0
    architecture  that was proposed
    metrics       measured, such as "accuracy" (a share of 1); none of a trial that failed
    costs         counted, by their quantity: "macs", "params"
    strategy      name of who proposed it
    seed          of the search
    seconds       that measuring took; 0 for a cached trial
    state         done; stopped (given up after a part of the images: its metrics are of those only); failed
    error         why it failed; None if it did not
    cached        whether it repeats an architecture that was measured before
    notes         what its strategy wants to remember, as plain JSON
    """

    number: int
    architecture: Architecture
    metrics: Mapping[str, float]
    costs: Mapping[str, int]
    strategy: str
    seed: int
    seconds: float
    state: State = "done"
    error: str | None = None
    cached: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """The share of the images that it was measured on."""
        return float(self.notes.get(SHARE, 1.0))

    @property
    def parts(self) -> tuple[float, ...]:
        """The first objective's value on each part of the images, where it was measured part by part."""
        return tuple(self.notes.get(PARTS, ()))

    @property
    def standard_error(self) -> float | None:
        """Of the first objective, from how its parts differ; None where there are none."""
        parts = self.parts
        return stdev(parts) / math.sqrt(len(parts)) if len(parts) > 1 else None

    @property
    def multiples(self) -> dict[str, int]:
        """The costs in other units, such as FLOPs, which are twice the MACs. They are shown, and never recorded."""
        units = (unit for cost in self.costs for unit in quantities.multiples(cost))
        return {unit.name: unit.times * self.costs[unit.of] for unit in units}

    def value(self, quantity: str) -> float:
        """The metric or cost of that name. Raises `StrategyError` when this trial has none."""
        values: dict[str, float] = {**self.costs, **self.metrics}
        if quantity not in values:
            values |= self.multiples
        if quantity not in values:
            hint = nearest(quantity, values)
            raise StrategyError(f"no '{quantity}' among what was measured: {', '.join(values)}{hint}")
        return float(values[quantity])
