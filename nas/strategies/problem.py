"""What a strategy sees and what it leaves behind: `Problem` (space, limit, history, a function that measures), and
`Trial`, one measured architecture.

The test split is not in a `Problem`: no strategy can look at it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np

from nas.errors import StrategyError, nearest
from nas.searchspaces.architecture import Architecture

if TYPE_CHECKING:
    from nas.searchspaces.limit import Limit
    from nas.searchspaces.space import SearchSpace
    from nas.supernets.supernet import Supernet
    from nas.training.workplace import Workplace


@final
@dataclass(frozen=True)
class Trial:
    """One architecture and what was measured of it.

    `metrics` are measured ("accuracy" as a share of 1, "loss"), `costs` are counted ("macs": multiply-accumulates of
    the whole model, "params"). A failed trial has an `error` and no metrics. A cached trial repeats an architecture
    measured before, and took no time. `notes` is what its strategy wants to remember, as plain JSON.
    """

    number: int
    architecture: Architecture
    metrics: Mapping[str, float]
    costs: Mapping[str, int]
    strategy: str
    seed: int
    seconds: float
    state: Literal["done", "failed"] = "done"
    error: str | None = None
    cached: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)

    def value(self, name: str) -> float:
        """The metric or cost called `name`; "flops" is 2 x macs. Raises `StrategyError` when this trial has none of
        that name.
        """
        found: dict[str, float] = {**self.costs, **self.metrics}
        if "macs" in self.costs:
            found.setdefault("flops", 2 * self.costs["macs"])
        if name not in found:
            raise StrategyError(f"no '{name}' among what was measured: {', '.join(found)}{nearest(name, found)}")
        return float(found[name])


@final
@dataclass(frozen=True)
class Objective:
    """A metric or a cost, and whether more of it is better."""

    metric: str
    maximise: bool


def losses(trials: Sequence[Trial], objectives: Sequence[Objective]) -> np.ndarray:
    """Float array (trials, objectives), less is better: maximised objectives are negated."""
    rows = [[-trial.value(o.metric) if o.maximise else trial.value(o.metric) for o in objectives] for trial in trials]
    return np.array(rows, dtype=np.float64).reshape(len(trials), len(objectives))


def winner(trials: Iterable[Trial], objectives: Sequence[Objective], limit: Limit | None = None) -> Trial:
    """The best trial by the first objective among those done within the limit; ties go to fewer MACs, then to the
    lesser digest.

    Raises `StrategyError` when there is none, with the error of the first trial that failed.
    """
    seen = list(trials)
    fit = [t for t in seen if t.state == "done" and (limit is None or bool(limit.allows(t.architecture)))]
    if not fit:
        first = next(
            (t.error for t in seen if t.error), "none of them is within the limit" if seen else "there are no trials"
        )
        raise StrategyError(f"no winner among {len(seen)} trials: {first}")
    value = losses(fit, objectives[:1])[:, 0]
    return min(zip(value, fit, strict=True), key=lambda p: (p[0], p[1].costs.get("macs", 0), p[1].architecture.digest))[
        1
    ]


def _forget(supernet: Supernet, rows: Sequence[Mapping[str, Any]]) -> None:
    """For strategies that train no weights of their own."""


@final
@dataclass(kw_only=True)
class Problem:
    """All that a strategy may see, and the one way to measure an architecture.

    `history` holds the trials of this strategy in order (on resume: those of the store); `evaluate` appends to it.
    `known` maps digests to metrics measured by others of the same run, which are then not measured again. `measure`
    returns the metrics of an architecture, `costs` counts it, `record` stores a trial before `evaluate` goes on.
    `supernet` and `work` (what may be trained on) are there for strategies that need the supernet. Such a strategy
    works on a copy and calls `adopt(copy, rows)` once, before it evaluates: from then on its architectures are measured
    on that copy, and its winner is extracted from it; `rows` is how it was trained (`History.rows`).
    """

    space: SearchSpace
    objectives: tuple[Objective, ...]
    strategy: str
    seed: int
    trials: int
    measure: Callable[[Architecture], Mapping[str, float]]
    costs: Callable[[Architecture], Mapping[str, int]]
    record: Callable[[Trial], None]
    limit: Limit | None = None
    history: list[Trial] = field(default_factory=list)
    known: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    supernet: Supernet | None = None
    work: Workplace | None = None
    adopt: Callable[[Supernet, Sequence[Mapping[str, Any]]], None] = _forget

    def __post_init__(self) -> None:
        assert self.objectives, "a problem needs an objective"
        self.history = list(self.history)
        assert [t.number for t in self.history] == list(range(len(self.history))), "history must be whole and in order"
        self._measured = {t.architecture.digest: t for t in reversed(self.history)}

    def rng(self, number: int) -> np.random.Generator:
        """The random generator of trial `number`: the same in every process, whatever was drawn before."""
        return np.random.default_rng((self.seed, number))

    def seen(self, architecture: Architecture) -> bool:
        """Whether this strategy has had the architecture before (done or failed)."""
        return architecture.digest in self._measured

    def allows(self, architecture: Architecture) -> bool:
        """Whether the architecture is within the limit, if there is one."""
        return self.limit is None or bool(self.limit.allows(architecture))

    def evaluate(self, architectures: Iterable[Architecture], notes: Mapping[str, Any] | None = None) -> list[Trial]:
        """Measure, record and append each architecture, in order; one trial each.

        What was measured before comes back as a cached trial. A measurement that raises, or that is not finite, gives
        a failed trial. Raises `SpaceError` for an architecture that is not of the space, `StrategyError` for one over
        the limit or for an objective that is not measured. `KeyboardInterrupt`, and whatever `record` raises, pass
        through.
        """
        return [self._evaluate(architecture, notes or {}) for architecture in architectures]

    def _evaluate(self, architecture: Architecture, notes: Mapping[str, Any]) -> Trial:
        self.space.check(architecture)
        if not self.allows(architecture):
            raise StrategyError(f"strategy '{self.strategy}' proposed {architecture}, which is over the limit")
        before = self._measured.get(architecture.digest)
        metrics: Mapping[str, float] = {}
        error: str | None = None
        seconds, cached = 0.0, True
        if before is not None:
            metrics, error = before.metrics, before.error
        elif architecture.digest in self.known:
            metrics = dict(self.known[architecture.digest])
        else:
            started, cached = time.perf_counter(), False
            metrics, error = self._measure(architecture)
            seconds = time.perf_counter() - started
        trial = Trial(
            number=len(self.history),
            architecture=architecture,
            metrics=metrics,
            costs=dict(self.costs(architecture)),
            strategy=self.strategy,
            seed=self.seed,
            seconds=seconds,
            state="done" if error is None else "failed",
            error=error,
            cached=cached,
            notes=notes,
        )
        if error is None:
            losses(
                [trial], self.objectives
            )  # an objective that nobody measures is a fault of the study, not of this architecture
        self.record(trial)
        self.history.append(trial)
        self._measured.setdefault(architecture.digest, trial)
        return trial

    def _measure(self, architecture: Architecture) -> tuple[dict[str, float], str | None]:
        try:
            metrics = {name: float(value) for name, value in self.measure(architecture).items()}
        except Exception as fault:  # a candidate that cannot be measured must not end a search of hours
            return {}, f"{type(fault).__name__}: {fault}"
        bad = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
        return ({}, ", ".join(bad)) if bad else (metrics, None)
