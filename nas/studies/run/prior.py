"""Trials of earlier runs that a search may learn from (`warm_start:`), kept in the run's folder once it has begun.

Their metrics were measured on the weights of other supernets: hints of what is good, no measurements of this run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from nas.documents.document import Document
from nas.errors import ConfigError, RunError, SpaceError, StoreError
from nas.search import Trial
from nas.searchspaces import Architecture, Limit, SearchSpace
from nas.studies.run.folder import read_json, write_json
from nas.studies.run.record import Record
from nas.studies.run.rows import ChosenValues, Costs, Numbers
from nas.supernets import Cost


@final
@dataclass(frozen=True, kw_only=True)
class EarlierTrial:
    """A finished trial of another run, its costs counted anew."""

    number: int
    architecture: ChosenValues
    metrics: Numbers
    costs: Costs
    strategy: str
    seed: int
    seconds: float


@final
@dataclass(frozen=True)
class Prior:
    """prior.json."""

    trials: list[EarlierTrial]


def priors(
    document: Document, paths: Sequence[str], space: SearchSpace, cost: Cost, limit: Limit | None, *, trust: bool
) -> list[Trial]:
    """The trials of all runs that the study names, each architecture once. Raises `ConfigError` with what is wrong with
    any of them.
    """
    trials: dict[str, Trial] = {}
    faults = []
    for i, path in enumerate(paths):
        try:
            for trial in prior_of(path, space, cost, limit, trust=trust):
                trials.setdefault(trial.architecture.digest, trial)
        except (RunError, StoreError) as fault:
            faults.append(document.refused(("warm_start", i), fault, "the folder of a run"))
    if faults:
        raise ConfigError(faults)
    return list(trials.values())


def prior_of(path: str, space: SearchSpace, cost: Cost, limit: Limit | None, *, trust: bool = False) -> list[Trial]:
    """The finished trials of a run, by whatever strategy, that a study of this space and limit may learn from: each
    architecture once, in the order in which they were found, its costs counted anew.

    Raises `RunError` or `StoreError` for a run that is missing, that has other choices, or none within the limit.
    """
    record = Record.open(path, trust=trust)
    there = dict(record.choices)
    here = {name: list(choice.values) for name, choice in space.items()}
    if there != here:
        differing = [name for name in {**here, **there} if here.get(name) != there.get(name)]
        raise RunError(
            f"'{path}', whose choices differ ({differing[0]}: {there.get(differing[0], 'none')}, "
            f"here {here.get(differing[0], 'none')}); allowed: runs with the same choices and values"
        )
    done = [trial for trial in record.stored() if trial.state == "done"]
    fitting: dict[str, Trial] = {}
    for trial in done:
        if _fits(trial.architecture, space, limit):
            counted = replace(trial, costs=cost.counts(trial.architecture))
            fitting.setdefault(trial.architecture.digest, counted)
    if not fitting:
        raise RunError(f"'{path}', of whose {len(done)} finished trials none fits; allowed: runs with trials within "
                       "the limit")  # fmt: skip
    return list(fitting.values())


def write_prior(path: Path, prior: Sequence[Trial]) -> None:
    """Keeps trials in a file."""
    trials = [
        EarlierTrial(
            number=trial.number,
            architecture=dict(trial.architecture),
            metrics=dict(trial.metrics),
            costs=dict(trial.costs),
            strategy=trial.strategy,
            seed=trial.seed,
            seconds=trial.seconds,
        )
        for trial in prior
    ]
    write_json(path, Prior(trials))


def read_prior(path: Path) -> list[Trial]:
    """The trials that `write_prior` kept. Raises `RunError` when the file is missing or damaged."""
    prior = read_json(path, Prior, remedy="delete the run's folder and run again")
    return [
        Trial(
            number=trial.number,
            architecture=Architecture(trial.architecture),
            metrics=trial.metrics,
            costs=trial.costs,
            strategy=trial.strategy,
            seed=trial.seed,
            seconds=trial.seconds,
        )
        for trial in prior.trials
    ]


def _fits(architecture: Architecture, space: SearchSpace, limit: Limit | None) -> bool:
    try:
        space.check(architecture)
    except SpaceError:
        return False
    return limit is None or limit.allows(architecture)
