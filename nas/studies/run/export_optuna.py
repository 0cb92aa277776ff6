"""A run's trials copied into an Optuna storage, for optuna-dashboard and Optuna's plots. Our table stays the truth."""

from __future__ import annotations

from nas.errors import StrategyError
from nas.studies.run.record import Record


def export(record: Record, url: str) -> dict[str, int]:
    """One Optuna study per strategy of the run, "NAME-ID-STRATEGY" (the id's first letters): name -> number of trials
    in it now.

    `url` is that of a database, or the path of a journal. What a former export has copied, or a search with `storage:`
    has written, is not copied again. Raises `StoreError` for a storage that cannot be opened, `StrategyError` when
    Optuna is not installed.
    """
    try:
        from nas.strategies.with_optuna.storage import holds
        from nas.strategies.with_optuna.study import StoredStudy, Topic
    except ModuleNotFoundError as absent:
        raise StrategyError("the export needs the package 'optuna': pip install 'nas[optuna]'") from absent
    holds(url)
    counts: dict[str, int] = {}
    for strategy in dict.fromkeys([record.strategy, "uniform"]):
        trials = record.stored(strategy)
        if trials:
            topic = Topic(record.label, strategy, record.objectives, record.choices, record.bounds)
            study = StoredStudy(url, topic)
            for trial in trials:
                study.add(trial)
            counts[topic.name] = len(study)
    return counts
