"""What a run has left in its folder so far, read without building a model: settings, stages' results, trials, front."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd

from nas.documents.document import read
from nas.errors import RunError
from nas.search.problem import Objective, Trial
from nas.studies.run.folder import STAGES, RunFolder, read_json, run_label
from nas.studies.run.frames import (
    front_objectives,
    hypervolume,
    pareto_frame,
    running_frame,
    trials_frame,
    worst_values,
)
from nas.studies.run.results import Identity, Settings, damage
from nas.studies.store.drivers import Driver
from nas.studies.store.store import Store
from nas.system.database import sqlite_url


@final
@dataclass(frozen=True)
class Record:
    """A run, as far as it got: made by `open`. All methods raise `RunError` or `StoreError` when a file is missing or
    damaged.

    settings   the resolved study as plain data
    identity   id of the run in the table of trials, when it was begun, and by which commit
    """

    folder: RunFolder
    settings: Mapping[str, Any]
    identity: Mapping[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> Record:
        """The run in a folder. Raises `RunError` when there is none, or when study.yaml or run.json is damaged."""
        folder = RunFolder(Path(path))
        if not folder.exists:
            raise RunError(f"{path}: no run here (no study.yaml in that folder); start one with: nas run STUDY.yaml")
        remedy = "delete the run's folder and run again"
        identity = read_json(folder.path / "run.json", Identity, remedy=remedy)
        settings = read(folder.study_file).data
        wrong = damage(Settings, json.dumps(settings))
        if wrong is not None or not isinstance(settings, dict):
            raise RunError(f"{folder.study_file}: damaged, {wrong}; {remedy}")
        return cls(folder, settings, identity)

    def result(self, stage: str) -> Mapping[str, Any]:
        """What a finished stage found."""
        return self.folder.need(stage)

    @property
    def finished(self) -> tuple[str, ...]:
        """Stages that are done."""
        return tuple(stage for stage in STAGES if self.folder.result(stage) is not None)

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self.settings["name"])

    @property
    def label(self) -> str:
        """What the run is called where several meet."""
        return run_label(self.name, self.identity)

    @property
    def strategy(self) -> str:
        """The strategy's name."""
        return str(self.settings["strategy"]["name"])

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The study's objectives, the one that picks the winner first."""
        return tuple(Objective(name, way == "max") for name, way in self.settings["objectives"].items())

    @property
    def bounds(self) -> Mapping[str, tuple[float, float]]:
        """Least and most MACs and parameters that the study's limit allows, where it has one."""
        bounds = self.result("prepare")["limit"]["bounds"]
        return {cost: (_number(low, -1), _number(high, 1)) for cost, (low, high) in bounds.items()}

    @property
    def store_url(self) -> str:
        """Where the trials are."""
        return str(self.settings.get("store") or sqlite_url(self.folder.path / "trials.sqlite"))

    def stored(self, strategy: str | None = None) -> list[Trial]:
        """The trials recorded so far, of one strategy or of all."""
        with Store.open(self.store_url) as store:
            return store.trials(self.identity["id"], strategy, choices=self.result("prepare")["space"]["choices"])

    def trials(self) -> pd.DataFrame:
        """See `nas.studies.run.frames.trials_frame`."""
        choices = list(self.result("prepare")["space"]["choices"])
        return trials_frame(self.stored(), study=self.name, choices=choices, bounds=self.bounds)

    def driver(self) -> Driver | None:
        """Who runs the study, as far as the store knows; None when nobody does."""
        with Store.open(self.store_url) as store:
            return store.drivers.of(self.identity["id"])

    def running(self) -> pd.DataFrame:
        """See `nas.studies.run.frames.running_frame`."""
        return running_frame(self.driver())

    def pareto(self, trials: pd.DataFrame | None = None) -> pd.DataFrame:
        """See `nas.studies.run.frames.pareto_frame`; with one objective the front is over that and MACs."""
        return pareto_frame(self.trials() if trials is None else trials, front_objectives(self.objectives))

    def hypervolume(self, trials: pd.DataFrame | None = None) -> float:
        """See `nas.studies.run.frames.hypervolume`; the worst point is the base model's cost with nothing right."""
        frame = self.trials() if trials is None else trials
        objectives = front_objectives(self.objectives)
        base = self.result("prepare")["base"]
        costs = {**base, "flops": 2 * base["macs"]}
        return hypervolume(frame, objectives, worst_values(objectives, costs, frame))

    def find(self, *, digest: str | None = None, number: int | None = None) -> Trial:
        """A finished trial by the first letters of its digest, or by its number under the study's strategy; of an
        architecture that several strategies have found, the trial of the study's own.
        """
        if digest == "":
            raise RunError("the digest is empty; give its first letters: nas pareto lists the digests")
        trials = [trial for trial in self.stored() if trial.state == "done"]
        if digest is not None:
            ordered = sorted(trials, key=lambda t: (t.strategy == self.strategy, -t.number))
            found = {t.architecture.digest: t for t in ordered if t.architecture.digest.startswith(digest)}
        else:
            found = {t.architecture.digest: t for t in trials if t.strategy == self.strategy and t.number == number}
        if len(found) != 1:
            asked = f"digest {digest}" if digest is not None else f"number {number} by {self.strategy}"
            reason = f"{len(found)} architectures" if found else "no finished trial"
            raise RunError(
                f"{self.folder}: {reason} with {asked} among {len(trials)} trials; list them with: nas pareto"
            )
        return next(iter(found.values()))


def plain_bounds(bounds: Mapping[str, tuple[float, float]]) -> dict[str, list[float | None]]:
    """Bounds as JSON, which knows no infinity: None."""
    return {cost: [_finite(low), _finite(high)] for cost, (low, high) in bounds.items()}


def _finite(value: float) -> float | None:
    return float(value) if abs(value) != float("inf") else None


def _number(value: float | None, sign: int) -> float:
    return sign * float("inf") if value is None else float(value)
