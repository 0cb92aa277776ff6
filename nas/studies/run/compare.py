"""Runs side by side: the rows of their results tables in one frame, each with its run's hypervolume."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from nas.errors import RunError
from nas.quantities import Quantity
from nas.studies.run.record import Record
from nas.studies.run.results import RETRAIN


def compare(records: Sequence[Record]) -> pd.DataFrame:
    """One row per run and model; `hypervolume` is of the trials of the strategy that chose the model (NaN for the
    base).

    `study` is the run's name; where several runs share one, the folder's. Raises `RunError` for a run that is not
    finished.
    """
    names = [record.name for record in records]
    frames = []
    for record in records:
        frame = pd.DataFrame([row.flat() for row in record.result(RETRAIN).rows])
        trials = record.trials()
        volumes = {name: record.hypervolume(own) for name, own in trials.groupby("strategy")}
        unique = names.count(record.name) == 1
        frames.append(
            frame.assign(
                study=record.name if unique else str(record.folder.path),
                hypervolume=frame["strategy"].map(volumes).astype("float64"),
            )
        )
    return pd.concat(frames, ignore_index=True)


def compared_metric(records: Sequence[Record]) -> Quantity:
    """The headline metric of the runs' task. Raises `RunError` when they have different ones."""
    metrics = {record.name: record.task.metrics[0] for record in records}
    if len({metric.name for metric in metrics.values()}) > 1:
        measured = ", ".join(f"{name} by {metric.title}" for name, metric in metrics.items())
        raise RunError(f"these runs are not measured alike: {measured}; compare runs of one task")
    return next(iter(metrics.values()))
