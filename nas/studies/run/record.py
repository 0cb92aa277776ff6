"""What a run has left in its folder so far, read without building a model: settings, stages' results, trials, front."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, final

import pandas as pd
from pydantic import ValidationError

from nas import quantities
from nas.documents.document import read
from nas.documents.text import Plain
from nas.errors import RunError, StoreError
from nas.search import Objective, Trial
from nas.studies.run.folder import TRIALS, RunFolder, read_json
from nas.studies.run.frames import (
    finalists_frame,
    front_objectives,
    hypervolume,
    ideal_and_worst,
    pareto_frame,
    running_frame,
    trials_frame,
)
from nas.studies.run.identity import Identity, StudyFacts
from nas.studies.run.results import EXPLORE, FINALISTS, PREPARE, STAGES, ExploreResult, Stage, StageResult
from nas.studies.run.seals import of_bytes, of_data, of_trials
from nas.studies.run.trust import require_trust
from nas.studies.run.typed_json import parsed, parsed_plain, said
from nas.studies.store.drivers import Driver
from nas.studies.store.store import Store
from nas.system.database import host, shown, sqlite_url
from nas.trusted import trust_code

if TYPE_CHECKING:
    from nas.tasks import Task

R = TypeVar("R", bound=StageResult)


@final
@dataclass(frozen=True)
class Record:
    """A run, as far as it got: made by `open`. All methods raise `RunError` or `StoreError` when a file is missing or
    damaged.

    settings   the resolved study as plain data
    study      what of it is read here
    identity   id of the run in the table of trials, when it was begun, and by which commit
    trust      whether its trials may be read from a host that the folder names, see `nas.studies.run.trust`
    """

    folder: RunFolder
    settings: Mapping[str, Plain]
    study: StudyFacts
    identity: Identity
    trust: bool = False

    @classmethod
    def open(cls, path: str | Path, *, trust: bool = False) -> Record:
        """The run in a folder. Raises `RunError` when there is none, when links lie in it, or when study.yaml or
        run.json is damaged.
        """
        folder = RunFolder(Path(path))
        folder.check_links()
        if not folder.exists:
            raise RunError(f"{path}: no run here (no study.yaml in that folder); start one with: nas run STUDY.yaml")
        remedy = "delete the run's folder and run again"
        content = _content(folder.study_file)
        identity = read_json(folder.path / "run.json", Identity, remedy=remedy)
        document = read(folder.study_file)
        settings = document.data
        if trust:
            trust_code(document.get(("space", "model")))
        try:
            study = parsed(StudyFacts, json.dumps(settings))
        except ValidationError as fault:
            raise RunError(f"{folder.study_file}: damaged, {said(fault)}; {remedy}") from fault
        assert isinstance(settings, dict), "what was parsed is a mapping"
        # Runs of earlier versions have the checksum of the file's bytes; today it is of what the file says.
        if identity.settings and not {of_data(settings), of_bytes(content)} & set(identity.settings):
            raise RunError(
                f"{folder.study_file}: changed since the run was begun (checksum); put back what it was, or begin a "
                f"new run of it: nas run {folder.study_file} --folder DIR"
            )
        return cls(folder, settings, study, identity, trust)

    def result(self, stage: Stage[R]) -> R:
        """What a finished stage found."""
        return self.folder.need(stage)

    def verify(self, before: Stage[StageResult] | None = None) -> None:
        """Raises `RunError` when a finished stage (of those `before` one) was made with other settings than those that
        the run has had, or has left files that are not as they were.
        """
        for stage in STAGES if before is None else STAGES[: STAGES.index(before)]:
            if not self.folder.done(stage):
                continue
            seal = self.folder.stamp(stage).seal
            if seal is not None and seal.settings is not None and seal.settings not in self.identity.settings:
                raise RunError(
                    f"{self.folder}: the stage '{stage}' was made with other settings than study.yaml and run.json "
                    f"have (checksum); put those back, or {self.folder.again(stage)}"
                )
            self.folder.verify(stage)

    @property
    def finished(self) -> tuple[str, ...]:
        """Stages that are done."""
        return tuple(stage.name for stage in STAGES if self.folder.result(stage) is not None)

    @property
    def seconds(self) -> dict[str, float]:
        """Wall-clock seconds per finished stage."""
        done = (stage for stage in STAGES if stage.name in self.finished)
        return {stage.name: self.folder.stamp(stage).seconds for stage in done}

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.name

    @property
    def label(self) -> str:
        """What the run is called where several meet."""
        return self.identity.label(self.name)

    @property
    def strategy(self) -> str:
        """The strategy's name."""
        return self.study.strategy.name

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The study's objectives, the one that picks the winner first."""
        return tuple(Objective(name, way == "max") for name, way in self.study.objectives.items())

    @property
    def bounds(self) -> Mapping[str, tuple[float, float]]:
        """Cost -> the least and the most that the study's limit allows; infinite for an open end."""
        bounds = self.result(PREPARE).limit.bounds
        return {cost: (_number(low, -1), _number(high, 1)) for cost, (low, high) in bounds.items()}

    @property
    def choices(self) -> Mapping[str, list[int | float]]:
        """Choice -> its values."""
        return self.result(PREPARE).space.choices

    @property
    def task(self) -> Task:
        """What the study's models are for. Loads torch, which nothing else here does."""
        from nas import tasks

        options = dict(self.study.task)
        return parsed_plain(tasks.find(str(options.pop("use"))), options)

    @property
    def store_url(self) -> str:
        """Where the trials are."""
        return self.study.store or sqlite_url(self.folder.path / TRIALS)

    def stored(self, strategy: str | None = None) -> list[Trial]:
        """The trials recorded so far, of one strategy or of all."""
        with self._store() as store:
            trials = store.trials(self.identity.id, choices=self.choices)
        self._check(trials)
        return [trial for trial in trials if strategy in (None, trial.strategy)]

    def trials(self) -> pd.DataFrame:
        """See `nas.studies.run.frames.trials_frame`."""
        return trials_frame(self.stored(), study=self.name, choices=list(self.choices), bounds=self.bounds)

    def finalists(self) -> pd.DataFrame:
        """See `nas.studies.run.frames.finalists_frame`."""
        decided = self.folder.result(FINALISTS)
        return finalists_frame(decided.rounds if decided else [])

    def driver(self) -> Driver | None:
        """Who runs the study, as far as the store knows; None when nobody does."""
        with self._store() as store:
            return store.drivers.of(self.identity.id)

    def running(self) -> pd.DataFrame:
        """See `nas.studies.run.frames.running_frame`."""
        return running_frame(self.driver())

    def pareto(self, trials: pd.DataFrame | None = None) -> pd.DataFrame:
        """See `nas.studies.run.frames.pareto_frame`; with one objective the front is over that and the size."""
        return pareto_frame(self.trials() if trials is None else trials, front_objectives(self.objectives))

    def hypervolume(self, trials: pd.DataFrame | None = None) -> float:
        """See `nas.studies.run.frames.hypervolume`; the worst point is the base model's cost with the worst metrics."""
        frame = self.trials() if trials is None else trials
        objectives = front_objectives(self.objectives)
        known = (*quantities.every_cost(one.metric for one in objectives), *self.task.metrics)
        return hypervolume(frame, objectives, ideal_and_worst(objectives, known, self.result(PREPARE).base, frame))

    def find(self, *, digest: str | None = None, number: int | None = None) -> Trial:
        """A finished trial by the first letters of its digest, or by its number under the study's strategy; of an
        architecture that several strategies have found, the trial of the study's own.
        """
        if digest == "":
            raise RunError("the digest is empty; give its first letters: nas pareto lists the digests")
        done = [trial for trial in self.stored() if trial.state == "done"]
        if digest is not None:
            # Later ones win in a dict: the study's own strategy comes last, and of its trials the first one.
            ordered = sorted(done, key=lambda t: (t.strategy == self.strategy, -t.number))
            matches = {t.architecture.digest: t for t in ordered if t.architecture.digest.startswith(digest)}
        else:
            matches = {t.architecture.digest: t for t in done if t.strategy == self.strategy and t.number == number}
        if len(matches) != 1:
            asked = f"digest {digest}" if digest is not None else f"number {number} by {self.strategy}"
            reason = f"{len(matches)} architectures" if matches else "no finished trial"
            raise RunError(f"{self.folder}: {reason} with {asked} among {len(done)} trials; list them with: nas pareto")
        return next(iter(matches.values()))

    def _store(self) -> Store:
        """The table of trials, to read it. Raises `RunError` when it lies on a host that is not trusted."""
        if not self.trust and self.study.store is not None and (server := host(self.study.store)) is not None:
            require_trust(self.folder.path, {"store": [server]})
        return Store.open(self.store_url)

    def _check(self, trials: Sequence[Trial]) -> None:
        """Raises `StoreError` for trials that lack what the study wants or bounds, and when they are not those that a
        finished search has ended with.
        """
        explored = self.folder.result(EXPLORE)
        for reason in chain(self._incomplete(trials), self._replaced(trials, explored) if explored else ()):
            raise StoreError(
                f"{shown(self.store_url)}: changed since run {self.identity.id} wrote it, {reason}; put a copy back, "
                f"or {self.folder.again(EXPLORE)}"
            )

    def _incomplete(self, trials: Sequence[Trial]) -> Iterator[str]:
        wanted, bounded = [objective.metric for objective in self.objectives], list(self.bounds)
        for trial in trials:
            there = {**trial.costs, **trial.multiples, **trial.metrics}
            for name in (*bounded, *(wanted if trial.state == "done" else [])):
                if name not in there:
                    yield f"trial {trial.number} by {trial.strategy} has no '{name}'"

    def _replaced(self, trials: Sequence[Trial], explored: ExploreResult) -> Iterator[str]:
        if len(trials) != explored.trials:
            yield f"{len(trials)} trials, {explored.trials} when the search ended"
        known = {(trial.strategy, trial.number, trial.architecture.digest) for trial in trials}
        for best in explored.roles.values():
            if best.identity not in known:
                yield f"trial {best.number} by {best.strategy}, the best, is not among them"
        seal = self.folder.stamp(EXPLORE).seal
        if seal is not None and seal.trials not in (None, of_trials(trials)):
            yield "its trials are not those that the search ended with (checksum)"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise RunError(f"cannot read '{path}': {fault.strerror}; mend that and run the same command again") from fault


def _number(value: float | None, sign: int) -> float:
    return sign * float("inf") if value is None else float(value)
