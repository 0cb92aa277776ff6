"""A run's trials copied into an Optuna storage, for optuna-dashboard and Optuna's plots. Our table stays the truth."""

from __future__ import annotations

import datetime
import warnings
from typing import TYPE_CHECKING, Any

from nas.errors import StoreError, StrategyError
from nas.strategies import Objective, Trial
from nas.database import hidden
from nas.studies.record import Record

if TYPE_CHECKING:
    import optuna


def export(record: Record, url: str) -> dict[str, int]:
    """One Optuna study per strategy of the run, "NAME-STRATEGY-ID" (the id's first letters): name -> number of trials
    in it now.

    Parameters are the choices' values; a limit becomes constraints (feasible when <= 0); metrics, costs, digest and the
    rest are user attributes. What a former export has copied is not copied again. Raises `StoreError` for a storage
    that cannot be opened, `StrategyError` when Optuna is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as absent:
        raise StrategyError("the export needs the package 'optuna': pip install 'nas[optuna]'") from absent
    found: dict[str, int] = {}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = optuna.storages.get_storage(url)
        for strategy in dict.fromkeys([record.strategy, "uniform"]):
            trials = record.stored(strategy)
            if trials:
                name = f"{record.name}-{strategy}-{str(record.identity['id'])[:6]}"
                found[name] = _copy(record, storage, name, trials)
    except (StoreError, StrategyError):
        raise
    except Exception as fault:  # whatever a database driver raises: none of it is ours
        raise StoreError(
            hidden(f"{url}: Optuna cannot write there ({fault}); give a URL such as sqlite:///optuna.db")
        ) from fault
    finally:
        optuna.logging.set_verbosity(verbosity)
    return found


def _copy(record: Record, storage: Any, name: str, trials: list[Trial]) -> int:
    import optuna
    from optuna.study import StudyDirection as Direction

    objectives = record.objectives
    directions = [Direction.MAXIMIZE if objective.maximise else Direction.MINIMIZE for objective in objectives]
    study = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([objective.metric for objective in objectives])
        study.set_user_attr("nas_run", str(record.identity["id"]))
        choices = record.result("prepare")["space"]["choices"]
        distributions = {key: optuna.distributions.CategoricalDistribution(values) for key, values in choices.items()}
        present = {trial.user_attrs.get("nas_number") for trial in study.get_trials(deepcopy=False)}
        for trial in trials:
            if trial.number not in present:
                study.add_trial(_frozen(record, trial, objectives, distributions))
    return len(study.get_trials(deepcopy=False))


def _frozen(
    record: Record, trial: Trial, objectives: tuple[Objective, ...], distributions: dict[str, Any]
) -> optuna.trial.FrozenTrial:
    import optuna

    done = trial.state == "done"
    costs = {**trial.costs, "flops": 2 * trial.costs["macs"]}
    attributes = {
        **costs,
        **trial.metrics,
        "nas_number": trial.number,
        "digest": trial.architecture.digest,
        "seconds": trial.seconds,
        "cached": trial.cached,
        "error": trial.error or "",
    }
    frozen = optuna.trial.create_trial(
        state=getattr(
            optuna.trial.TrialState, {"done": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL"}[trial.state]
        ),
        values=[trial.value(objective.metric) for objective in objectives] if done else None,
        params=dict(trial.architecture),
        distributions=distributions,
        user_attrs=attributes,
        constraints=_violations(record, trial) if done else None,
    )
    frozen.datetime_start = datetime.datetime(2000, 1, 1)
    frozen.datetime_complete = frozen.datetime_start + datetime.timedelta(seconds=trial.seconds)
    return frozen


def _violations(record: Record, trial: Trial) -> dict[str, float]:
    """How far each cost is over its limit, as a share of it; at most 0 when it fits."""
    found = {}
    for cost, (low, high) in record.bounds.items():
        if high < float("inf"):
            found[f"most {cost}"] = trial.costs[cost] / high - 1 if high else float(trial.costs[cost])
        if low > 0:
            found[f"least {cost}"] = 1 - trial.costs[cost] / low
    return found
