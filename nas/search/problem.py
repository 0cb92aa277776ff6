"""What a strategy sees and what it leaves behind: `Problem` (space, limit, history, a function that measures), and
`Trial`, one measured architecture.

The test split is not in a `Problem`: no strategy can look at it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, final, runtime_checkable

import numpy as np

from nas.errors import StrategyError, nearest
from nas.searchspaces.architecture import Architecture

if TYPE_CHECKING:
    from nas.searchspaces.limit import Limit
    from nas.searchspaces.space import SearchSpace
    from nas.supernets.supernet import Supernet
    from nas.training.workplace import Workplace


State = Literal["done", "stopped", "failed"]

SHARE = "share"
"""The note of a trial that saw a part of the images only."""


@final
@dataclass(frozen=True)
class Outcome:
    """What came of measuring an architecture: metrics, or an error."""

    metrics: Mapping[str, float]
    error: str | None = None
    seconds: float = 0.0
    cached: bool = False
    share: float = 1.0
    """Of the images; less when the architecture was given up, or failed, after a part of them."""

    @property
    def state(self) -> State:
        """The state of a trial with this outcome."""
        return "failed" if self.error is not None else "stopped" if self.share < 1 else "done"

    @classmethod
    def of(cls, metrics: Mapping[str, Any], seconds: float, *, share: float = 1.0) -> Outcome:
        """The outcome of metrics that came back; a failure if one of them is not finite."""
        found = {name: float(value) for name, value in metrics.items()}
        bad = ", ".join(f"{name} is {value}" for name, value in found.items() if not math.isfinite(value))
        return cls({}, bad, seconds, share=share) if bad else cls(found, None, seconds, share=share)

    @classmethod
    def measured(cls, measure: Callable[[], Mapping[str, Any]]) -> Outcome:
        """The outcome of measuring now. A candidate that cannot be measured must not end a search of hours."""
        started = time.perf_counter()
        try:
            metrics = measure()
        except Exception as fault:
            return cls({}, f"{type(fault).__name__}: {fault}", time.perf_counter() - started)
        return cls.of(metrics, time.perf_counter() - started)


@runtime_checkable
class Staged(Protocol):
    """A measure that can stop early, as racing needs it (`nas.evaluation.Measure`)."""

    def stages(self, architecture: Architecture, shares: tuple[float, ...]) -> Iterator[Mapping[str, float]]:
        """Metrics on growing shares of the images."""
        ...


@final
@dataclass(frozen=True)
class Trial:
    """One architecture and what was measured of it.

    `metrics` are measured ("accuracy" as a share of 1, "loss"), `costs` are counted ("macs": multiply-accumulates of
    the whole model, "params"). A failed trial has an `error` and no metrics. A stopped trial was given up after a part
    of the images, so that its metrics are of those only. A cached trial repeats an architecture measured before, and
    took no time. `number` counts the strategy's proposals. `notes` is what its strategy wants to remember, as plain
    JSON.
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


def to_minimise(trials: Sequence[Trial], objectives: Sequence[Objective]) -> np.ndarray:
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
    value = to_minimise(fit, objectives[:1])[:, 0]
    return min(zip(value, fit, strict=True), key=lambda p: (p[0], p[1].costs.get("macs", 0), p[1].architecture.digest))[
        1
    ]


def _forget(supernet: Supernet, rows: Sequence[Mapping[str, Any]]) -> None:
    """For strategies that train no weights of their own."""


def _unseen(number: int, architecture: Architecture) -> None:
    """Where nobody asks what is under way."""


@final
@dataclass(kw_only=True)
class Problem:
    """All that a strategy may see, and the one way to measure an architecture.

    `history` holds the trials of this strategy by their numbers (on resume: those of the store); `evaluate` appends to
    it. `prior` are trials of earlier runs, measured on other weights: a strategy may learn from them before its first
    proposal, but they are not of its history. `run` names the run where several meet. `pending` holds digests of what
    is under way, in searches that measure several at once; `elsewhere` those that other runs of a shared study have
    measured. `known` maps digests to metrics measured by others of the same run, which are then not measured again.
    `measure` returns the metrics of an architecture (and can be pickled, where a strategy measures in other processes),
    `costs` counts it, `begin` hears that a trial is about to be measured, `record` stores it before the search goes on.
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
    prior: Sequence[Trial] = ()
    run: str = ""
    pending: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    known: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    supernet: Supernet | None = None
    work: Workplace | None = None
    adopt: Callable[[Supernet, Sequence[Mapping[str, Any]]], None] = _forget
    begin: Callable[[int, Architecture], None] = _unseen

    def __post_init__(self) -> None:
        assert self.objectives, "a problem needs an objective"
        self.history = sorted(self.history, key=lambda trial: trial.number)
        assert len({trial.number for trial in self.history}) == len(self.history), "two trials of one number"
        self._measured = {t.architecture.digest: t for t in reversed(self.history)}

    def rng(self, number: int) -> np.random.Generator:
        """The random generator of trial `number`: the same in every process, whatever was drawn before."""
        return np.random.default_rng((self.seed, number))

    def seen(self, architecture: Architecture) -> bool:
        """Whether this strategy has had the architecture before (done or not), or leaves it to another run."""
        return any(architecture.digest in known for known in (self._measured, self.pending, self.elsewhere))

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
        found = []
        for architecture in architectures:
            self.accept(architecture)
            outcome = self.recall(architecture) or self._measure(len(self.history), architecture)
            found.append(self.settle(len(self.history), architecture, outcome, notes or {}))
        return found

    def accept(self, architecture: Architecture) -> None:
        """Raise `SpaceError` or `StrategyError` for what no strategy may propose."""
        self.space.check(architecture)
        if not self.allows(architecture):
            raise StrategyError(f"strategy '{self.strategy}' proposed {architecture}, which is over the limit")

    def recall(self, architecture: Architecture) -> Outcome | None:
        """What is known of the architecture already, None if nothing."""
        before = self._measured.get(architecture.digest)
        if before is not None:
            return Outcome(before.metrics, before.error, cached=True, share=before.share)
        if architecture.digest in self.known:
            return Outcome(dict(self.known[architecture.digest]), cached=True)
        return None

    def settle(
        self, number: int, architecture: Architecture, outcome: Outcome, notes: Mapping[str, Any] = MappingProxyType({})
    ) -> Trial:
        """The trial of an outcome, recorded and in the history. Raises as `evaluate` does."""
        trial = Trial(
            number=number,
            architecture=architecture,
            metrics=outcome.metrics,
            costs=dict(self.costs(architecture)),
            strategy=self.strategy,
            seed=self.seed,
            seconds=outcome.seconds,
            state=outcome.state,
            error=outcome.error,
            cached=outcome.cached,
            notes={**notes, SHARE: outcome.share} if outcome.share < 1 else notes,
        )
        if trial.error is None:
            to_minimise([trial], self.objectives)  # an objective that nobody measures is a fault of the study
        self.record(trial)
        self.learn(trial)
        return trial

    def learn(self, trial: Trial) -> None:
        """Put a trial that is recorded into the history."""
        self.history.append(trial)
        self._measured.setdefault(trial.architecture.digest, trial)

    def _measure(self, number: int, architecture: Architecture) -> Outcome:
        self.begin(number, architecture)
        return Outcome.measured(lambda: self.measure(architecture))
