"""Trials as tidy pandas frames: one row per trial, one column per choice; Pareto fronts, hypervolume and knee over any
number of objectives.

Frames of several runs concatenate with `pd.concat` and go to Parquet as they are: every column has one plain type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import moocore
import numpy as np
import pandas as pd

from nas.errors import RunError
from nas.search.problem import Objective, Trial
from nas.studies.store.drivers import Driver

HEAD = {"study": "str", "strategy": "str", "seed": "int64", "number": "int64"}
TAIL = {
    "macs": "int64",
    "flops": "int64",
    "params": "int64",
    "feasible": "bool",
    "seconds": "float64",
    "state": "str",
    "share": "float64",
    "digest": "str",
    "cached": "bool",
    "error": "str",
}
"""Columns around those of the choices and metrics, in order, with their types."""
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
    """One row per trial: study, strategy, seed, number, a column per choice, metrics, macs, flops (2 x macs), params,
    feasible (within `bounds`, cost -> (least, most)), seconds, state, share (of the images that the metrics are of),
    digest, cached, error.

    A metric that a failed trial lacks is NaN. No trials give the same columns with no rows.
    """
    metrics = sorted({name for trial in trials for name in trial.metrics})
    rows = [_row(trial, study, choices, metrics, bounds) for trial in trials]
    frame = pd.DataFrame(rows, columns=[*HEAD, *choices, *metrics, *TAIL])
    return frame.astype({**HEAD, **TAIL, **dict.fromkeys(metrics, "float64")})


def running_frame(driver: Driver | None) -> pd.DataFrame:
    """One row per trial under way, or one without a trial while none is: host, pid and stage of the driver, `seen` (how
    many seconds ago it gave its last sign of life), `stale` (it has ended, as far as one look can tell, and the trials
    under way will be measured again), and strategy, number, digest and `seconds` so far of the trial. No rows when
    nobody runs the study.
    """
    rows: list[dict[str, Any]] = []
    if driver is not None:
        shared = {name: getattr(driver, name) for name in ("host", "pid", "stage", "stale")} | {"seen": driver.age}
        trials = [asdict(one) | {"seconds": one.seconds + driver.age} for one in driver.under_way]
        rows = [shared | trial for trial in trials or [{}]]
    return pd.DataFrame(rows, columns=list(RUNNING)).astype(RUNNING)


def _row(
    trial: Trial,
    study: str,
    choices: Sequence[str],
    metrics: Sequence[str],
    bounds: Mapping[str, tuple[float, float]],
) -> dict[str, Any]:
    return {
        "study": study,
        "strategy": trial.strategy,
        "seed": trial.seed,
        "number": trial.number,
        **{name: trial.architecture[name] for name in choices},
        **{name: trial.metrics.get(name, np.nan) for name in metrics},
        "macs": trial.costs["macs"],
        "flops": 2 * trial.costs["macs"],
        "params": trial.costs["params"],
        "feasible": all(low <= trial.costs[cost] <= high for cost, (low, high) in bounds.items()),
        "seconds": trial.seconds,
        "state": trial.state,
        "share": trial.share,
        "digest": trial.architecture.digest,
        "cached": trial.cached,
        "error": trial.error or "",
    }


def front_objectives(objectives: Sequence[Objective]) -> tuple[Objective, ...]:
    """The objectives of a front: those of the study; a single one gets MACs beside it, or its front were a point."""
    if len(objectives) > 1:
        return tuple(objectives)
    cheap = Objective("params" if objectives[0].metric in ("macs", "flops") else "macs", maximise=False)
    return (*objectives, cheap)


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
    front: pd.DataFrame = fit[moocore.is_nondominated(values, maximise=maximise, keep_weakly=True)]
    front = front.sort_values([o.metric for o in reversed(objectives)], kind="stable").reset_index(drop=True)
    return front.assign(knee=np.arange(len(front)) == knee(_losses(front, objectives)))


def knee(losses: np.ndarray) -> int:
    """Index of the best compromise of a front (points x objectives, less is better): the least sum of the objectives,
    each scaled to 0..1 over the front. With two objectives that is the point farthest below the chord of the two ends.
    """
    low, high = losses.min(axis=0), losses.max(axis=0)
    return int(((losses - low) / np.where(high > low, high - low, 1.0)).sum(axis=1).argmin())


def hypervolume(frame: pd.DataFrame, objectives: Sequence[Objective], worst: Mapping[str, float]) -> float:
    """The volume that the feasible, finished rows dominate, as a share of the box from the ideal to the `worst` point.

    `worst` gives each objective's worst value, such as 0 for accuracy and the base model's MACs; the ideal of a
    maximised share and of a minimised cost or loss are 1 and 0. So 1.0 would be a perfect model for nothing, and runs
    on the same base are comparable. 0.0 when there are no rows.
    """
    fit = _finished(frame, objectives)
    if not len(fit):
        return 0.0
    scale = np.array([abs((1.0 if o.maximise else 0.0) - worst[o.metric]) for o in objectives])
    reference = np.array([-worst[o.metric] if o.maximise else worst[o.metric] for o in objectives])
    return float(moocore.hypervolume(_losses(fit, objectives) / scale, ref=reference / scale))


def worst_values(objectives: Sequence[Objective], base: Mapping[str, float], frame: pd.DataFrame) -> dict[str, float]:
    """Worst point for `hypervolume`: nothing right, all of the base's cost; the frame's worst of any other metric."""
    worst = {}
    for objective in objectives:
        if objective.metric in base:
            worst[objective.metric] = float(base[objective.metric])
        elif objective.maximise:
            worst[objective.metric] = 0.0
        else:
            worst[objective.metric] = float(frame[objective.metric].max())
    return worst


def best_so_far(frame: pd.DataFrame, objective: Objective) -> pd.Series:
    """Per trial of one strategy, in order: the best feasible value of the objective up to and including it."""
    fit = frame["feasible"] & (frame["state"] == "done")
    values = frame[objective.metric].where(fit)
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


def _losses(frame: pd.DataFrame, objectives: Sequence[Objective]) -> np.ndarray:
    values, maximise = _values(frame, objectives)
    return np.where(maximise, -values, values)
