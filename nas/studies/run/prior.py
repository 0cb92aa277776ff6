"""Trials of earlier runs that a search may learn from (`warm_start:`), kept in the run's folder once it has begun.

Their metrics were measured on the weights of other supernets: hints of what is good, no measurements of this run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from nas.documents.document import Document
from nas.errors import ConfigError, RunError, SpaceError, StoreError
from nas.search import Trial
from nas.searchspaces import Architecture, Limit, SearchSpace
from nas.studies.run.folder import read_json
from nas.studies.run.record import Record
from nas.studies.run.results import Earlier, Prior
from nas.supernets import Cost


def priors(
    document: Document, paths: Sequence[str], space: SearchSpace, cost: Cost, limit: Limit | None
) -> list[Trial]:
    """The trials of all runs that the study names, each architecture once. Raises `ConfigError` with what is wrong with
    any of them.
    """
    found: dict[str, Trial] = {}
    faults = []
    for i, path in enumerate(paths):
        try:
            for trial in prior_of(path, space, cost, limit):
                found.setdefault(trial.architecture.digest, trial)
        except (RunError, StoreError) as fault:
            faults.append(document.refused(("warm_start", i), fault, "the folder of a run"))
    if faults:
        raise ConfigError(faults)
    return list(found.values())


def prior_of(path: str, space: SearchSpace, cost: Cost, limit: Limit | None) -> list[Trial]:
    """The finished trials of a run, by whatever strategy, that a study of this space and limit may learn from: each
    architecture once, in the order in which they were found, its costs counted anew.

    Raises `RunError` or `StoreError` for a run that is missing, that has other choices, or none within the limit.
    """
    record = Record.open(path)
    there = {name: list(values) for name, values in record.result("prepare")["space"]["choices"].items()}
    here = {name: list(choice.values) for name, choice in space.items()}
    if there != here:
        differing = [name for name in {**here, **there} if here.get(name) != there.get(name)]
        raise RunError(
            f"'{path}', whose choices differ ({differing[0]}: {there.get(differing[0], 'none')}, "
            f"here {here.get(differing[0], 'none')}); allowed: runs with the same choices and values"
        )
    done = [trial for trial in record.stored() if trial.state == "done"]
    found: dict[str, Trial] = {}
    for trial in done:
        if _fits(trial.architecture, space, limit):
            found.setdefault(trial.architecture.digest, _counted(trial, cost))
    if not found:
        raise RunError(f"'{path}', of whose {len(done)} finished trials none fits; allowed: runs with trials within "
                       "the limit")  # fmt: skip
    return list(found.values())


def plain(prior: Sequence[Trial]) -> dict[str, Any]:
    """Trials as JSON."""
    keys = [field.name for field in fields(Earlier)]
    return {"trials": [{key: _json(getattr(trial, key)) for key in keys} for trial in prior]}


def read_prior(path: Path) -> list[Trial]:
    """The trials that `plain` made, from a file."""
    rows = read_json(path, Prior, remedy="delete the run's folder and run again")["trials"]
    return [Trial(**{**row, "architecture": Architecture(row["architecture"])}) for row in rows]


def _json(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _fits(architecture: Architecture, space: SearchSpace, limit: Limit | None) -> bool:
    try:
        space.check(architecture)
    except SpaceError:
        return False
    return limit is None or limit.allows(architecture)


def _counted(trial: Trial, cost: Cost) -> Trial:
    return replace(trial, costs=cost.counts(trial.architecture))
