"""Trials as tidy pandas frames: one row per trial, one column per choice; Pareto fronts, hypervolume and knee over any
number of objectives.

Frames of several runs concatenate with `pd.concat` and go to Parquet as they are: every column has one plain type.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import moocore
import numpy as np
import pandas as pd

from nas import quantities
from nas.errors import RunError
from nas.quantities import Quantity
from nas.search import Objective, Trial
from nas.studies.run.rounds import RoundResult
from nas.studies.store.drivers import Driver

HEAD = {"study": "str", "strategy": "str", "seed": "int64", "number": "int64"}
TAIL = {
    "feasible": "bool",
    "seconds": "float64",
    "state": "str",
    "share": "float64",
    "digest": "str",
    "cached": "bool",
    "error": "str",
}
"""Columns before those of choices, metrics and costs, and behind them, in order, with their types."""
STANDARD_ERROR = "standard_error"
"""The column of how far the first objective may be off; there is one where trials were measured part by part."""
RUNNING = {
    "host": "str",
    "pid": "int64",
    "stage": "str",
    "seen": "float64",
    "stale": "bool",
    "strategy": "str",
    "number": "Int64",
    "digest": "str",
    "seconds": "float64",
}
"""Columns of `running_frame`."""


def trials_frame(
    trials: Sequence[Trial], *, study: str, choices: Sequence[str], bounds: Mapping[str, tuple[float, float]]
) -> pd.DataFrame:
    """One row per trial: study, strategy, seed, number, a column per choice, metrics, costs (macs, flops, params ...),
    feasible (within `bounds`, cost -> (least, most)), seconds, state, share (of the images that the metrics are of),
    digest, cached, error; and `standard_error` (of the first objective) where trials were measured part by part.

    A metric that a failed trial lacks is NaN. A cost that no trial has, since its quantity came later, has no column;
    one that only some have is NaN for the others. No trials give the same columns with no rows.
    """
    metrics = sorted({name for trial in trials for name in trial.metrics})
    frame = pd.DataFrame([_row(trial, study, choices, metrics) for trial in trials])
    types = {**HEAD, **dict.fromkeys(metrics, "float64"), **TAIL}
    named = {name for trial in trials for name in trial.costs}
    for quantity in quantities.every_cost(named) if trials else quantities.costs():
        counts = [quantity.among(trial.costs) for trial in trials]
        if not trials or any(count is not None for count in counts):
            frame[quantity.name] = counts
            types[quantity.name] = "float64" if None in counts else "int64"
    costs = [quantity.name for quantity in quantities.every_cost(named) if quantity.name in types]
    frame["feasible"] = [_within(trial, bounds) for trial in trials]
    columns = [*HEAD, *choices, *metrics, *costs, *TAIL]
    errors = [trial.standard_error for trial in trials]
    if any(error is not None for error in errors):
        columns.append(STANDARD_ERROR)
        frame[STANDARD_ERROR], types[STANDARD_ERROR] = errors, "float64"
    return frame.reindex(columns=columns).astype(types)


def running_frame(driver: Driver | None) -> pd.DataFrame:
    """One row per trial under way, or one without a trial while none is: host, pid and stage of the driver, `seen` (how
    many seconds ago it gave its last sign of life), `stale` (it has ended, as far as one look can tell, and the trials
    under way will be measured again), and strategy, number, digest and `seconds` so far of the trial. No rows when
    nobody runs the study.
    """
    rows: list[dict[str, object]] = []
    if driver is not None:
        shared: dict[str, object] = {name: getattr(driver, name) for name in ("host", "pid", "stage", "stale")}
        trials = [asdict(one) | {"seconds": one.seconds + driver.age} for one in driver.under_way]
        rows = [shared | {"seen": driver.age} | trial for trial in trials or [{}]]
    return pd.DataFrame(rows, columns=list(RUNNING)).astype(RUNNING)


FINALISTS_HEAD = ("round", "epochs", "place", "strategy", "number", "digest")


def finalists_frame(rounds: Sequence[RoundResult]) -> pd.DataFrame:
    """One row per round and finalist, the leader of each round first: round, epochs, place (by score, 1 for the best),
    strategy, number, digest, costs (macs, params ...), its metrics with shared weights (shared_accuracy ...) and after
    the round's training (trained_accuracy ...), loss, behind (how much greater its losses are than the leader's,
    picture by picture), behind_low to behind_high (95 % interval) and kept. No rounds give no rows.
    """
    rows = [
        {
            "round": number,
            "epochs": one.epochs,
            "place": finalist.place,
            "strategy": finalist.strategy,
            "number": finalist.number,
            "digest": finalist.digest,
            **finalist.costs,
            **{f"shared_{name}": value for name, value in finalist.shared.items()},
            **{f"trained_{name}": value for name, value in finalist.validation.items()},
            "loss": finalist.loss,
            "behind": finalist.behind.mean,
            "behind_low": finalist.behind.low,
            "behind_high": finalist.behind.high,
            "kept": finalist.kept,
        }
        for number, one in enumerate(rounds, 1)
        for finalist in one.finalists
    ]
    return pd.DataFrame(rows, columns=None if rows else list(FINALISTS_HEAD))


def _within(trial: Trial, bounds: Mapping[str, tuple[float, float]]) -> bool:
    return all(low <= trial.costs[cost] <= high for cost, (low, high) in bounds.items())


def _row(trial: Trial, study: str, choices: Sequence[str], metrics: Sequence[str]) -> dict[str, object]:
    return {
        "study": study,
        "strategy": trial.strategy,
        "seed": trial.seed,
        "number": trial.number,
        **{name: trial.architecture[name] for name in choices},
        **{name: trial.metrics.get(name, np.nan) for name in metrics},
        "seconds": trial.seconds,
        "state": trial.state,
        "share": trial.share,
        "digest": trial.architecture.digest,
        "cached": trial.cached,
        "error": trial.error or "",
    }


def front_objectives(objectives: Sequence[Objective]) -> tuple[Objective, ...]:
    """The objectives of a front: those of the study; a single one gets the size beside it, or its front were a point.
    One that is the size itself, or a multiple of it, gets the next cost that is counted by itself.
    """
    if len(objectives) > 1:
        return tuple(objectives)
    size = quantities.SIZE
    if objectives[0].metric in quantities.with_multiples({size: 1}):
        size = next(quantity.name for quantity in quantities.counted() if quantity.name != size)
    return (*objectives, Objective(size, maximise=False))


def pareto_frame(frame: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """The rows of `trials_frame` that no other feasible, finished row dominates, cheapest first; an architecture once,
    unless different weights gave it different values.

    A last column, `knee`, is true for one row: the best compromise (see `knee`). Raises `RunError` when a column of
    an objective is missing.
    """
    fit = _finished(frame, objectives)
    fit = fit.drop_duplicates(["digest", *(o.metric for o in objectives if o.metric in fit.columns)])
    if not len(fit):
        return fit.assign(knee=pd.Series(dtype="bool"))
    values, maximise = _values(fit, objectives)
    # Weakly: of two architectures with the same values both stay.
    front: pd.DataFrame = fit[moocore.is_nondominated(values, maximise=maximise, keep_weakly=True)]
    # Cheapest first: the last objective is the cost, or what comes nearest to one.
    front = front.sort_values([o.metric for o in reversed(objectives)], kind="stable").reset_index(drop=True)
    return front.assign(knee=np.arange(len(front)) == knee(_to_minimise(front, objectives)))


def knee(values: np.ndarray) -> int:
    """Index of the best compromise of a front (points x objectives, less is better): the least sum of the objectives,
    each scaled to 0..1 over the front. With two objectives that is the point farthest below the chord of the two ends.
    """
    low, high = values.min(axis=0), values.max(axis=0)
    # An objective that does not vary over the front says nothing of its points: 0 for all, not 0/0.
    return int(((values - low) / np.where(high > low, high - low, 1.0)).sum(axis=1).argmin())


def hypervolume(frame: pd.DataFrame, objectives: Sequence[Objective], ends: Mapping[str, tuple[float, float]]) -> float:
    """The volume that the feasible, finished rows dominate, as a share of the box from the ideal to the worst point.

    `ends` gives each objective's ideal and worst value, see `ideal_and_worst`. So 1.0 would be a perfect model for
    nothing, and runs on the same base are comparable. 0.0 when there are no rows.
    """
    fit = _finished(frame, objectives)
    if not len(fit):
        return 0.0
    ideal, worst = np.array([ends[objective.metric] for objective in objectives]).T
    # Each axis in units of its box, less being better: the box then has volume 1.
    scale = np.abs(ideal - worst)
    reference = np.where([objective.maximise for objective in objectives], -worst, worst)
    return float(moocore.hypervolume(_to_minimise(fit, objectives) / scale, ref=reference / scale))


def ideal_and_worst(
    objectives: Sequence[Objective], known: Iterable[Quantity], base: Mapping[str, int], frame: pd.DataFrame
) -> dict[str, tuple[float, float]]:
    """The box for `hypervolume`, by objective: the ideal and the worst that its quantity names. Where it names no
    worst, that is the cost of the base model (`base` has the counted ones), else the frame's worst value; where there
    is no end to how good it can be, the frame's best value is the ideal.

    A study that wants the other way round than the quantity does gets the two ends exchanged. Raises `RunError` for a
    quantity that is not `known`, such as one of a package that is not installed here.
    """
    by_name = {quantity.name: quantity for quantity in known}
    costs = quantities.with_multiples(base)
    ends = {}
    for objective in objectives:
        if objective.metric not in by_name:
            raise RunError(
                f"no quantity '{objective.metric}', an objective of the run; there are: {', '.join(by_name)}"
            )
        quantity = by_name[objective.metric]
        worst = quantity.worst
        if worst is None and quantity.name in costs:
            worst = float(costs[quantity.name])
        elif worst is None:
            values = frame[quantity.name]
            worst = float(values.min() if quantity.maximise else values.max())
        ideal = quantity.ideal
        if math.isinf(ideal):
            seen = frame[quantity.name]
            ideal = float(seen.max() if quantity.maximise else seen.min())
        pair = (ideal, worst)
        ends[objective.metric] = pair if quantity.maximise == objective.maximise else pair[::-1]
    return ends


def best_so_far(frame: pd.DataFrame, objective: Objective) -> pd.Series:
    """Per trial of one strategy, in order: the best feasible value of the objective up to and including it."""
    fit = frame["feasible"] & (frame["state"] == "done")
    values = frame[objective.metric].where(fit)
    # Trials that do not count are NaN, which cummax skips; they then get the value before them.
    best = values.cummax() if objective.maximise else values.cummin()
    return best.ffill()


def candidates_per_hour(frame: pd.DataFrame) -> dict[str, float]:
    """Per strategy: how many architectures one worker measures in an hour. Trials that repeat one took no time and do
    not count; a strategy that measured nothing is left out.
    """
    measured = frame[~frame["cached"] & (frame["seconds"] > 0)]
    groups = measured.groupby("strategy", sort=False)["seconds"]
    return {str(name): float(3600 * len(seconds) / seconds.sum()) for name, seconds in groups}


def _finished(frame: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    for objective in objectives:
        if objective.metric not in frame.columns and len(frame):
            numeric = [str(c) for c in frame.select_dtypes("number").columns]
            raise RunError(f"no column '{objective.metric}' among the trials; there are: {', '.join(numeric)}")
    return frame[frame["feasible"] & (frame["state"] == "done")]


def _values(frame: pd.DataFrame, objectives: Sequence[Objective]) -> tuple[np.ndarray, list[bool]]:
    return frame[[o.metric for o in objectives]].to_numpy(np.float64), [o.maximise for o in objectives]


def _to_minimise(frame: pd.DataFrame, objectives: Sequence[Objective]) -> np.ndarray:
    values, maximise = _values(frame, objectives)
    return np.where(maximise, -values, values)
