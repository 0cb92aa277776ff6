"""A study, start to end: eight stages, each skipped when its result is in the folder, so that a killed run goes on
where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, final

import pandas as pd
import torch
from torch import nn

from nas.documents.document import pairs
from nas.documents.fields import marked
from nas.documents.markers import Reaching
from nas.documents.text import dotted
from nas.errors import RunError
from nas.search import Strategy
from nas.searchspaces import Architecture
from nas.studies.callbacks import Callback, Callbacks
from nas.studies.file.config import StudyConfig
from nas.studies.file.resolve import Resolved, resolve
from nas.studies.file.settings import adjustable, differences
from nas.studies.forecast.forecast import Forecast, forecast
from nas.studies.in_python import PicturesLike, SpaceLike, check_outputs, document_of
from nas.studies.models import of_run
from nas.studies.report.files import write_report
from nas.studies.report.findings import Findings
from nas.studies.report.summary import summary
from nas.studies.run.folder import RunFolder, replaced_folder
from nas.studies.run.found import FoundArchitecture, found_by
from nas.studies.run.rank_truth import RankTruth
from nas.studies.run.record import Record
from nas.studies.run.results import (
    EXPLORE,
    REPORT,
    RETRAIN,
    STAGES,
    SUPERNET,
    Stage,
    StageResult,
    stage_called,
)
from nas.studies.run.rows import RETRAINED, WINNER, RowResult
from nas.studies.run.trust import require_trust
from nas.studies.stages import starting, trainers
from nas.studies.stages.beginning import begin
from nas.studies.stages.elsewhere import in_space, retrain_elsewhere, stage_before, start_called
from nas.studies.stages.measuring import row_of
from nas.studies.stages.retrain import retrain
from nas.studies.stages.running import remaining, run_stages, up_to
from nas.studies.stages.workshop import Workshop
from nas.supernets import load, save
from nas.system.terminal import Terminal


@final
class Study:
    """A study and its run's folder.

    Everything that a run finds lies in the folder; a `Study` can be made anew at any time, and goes on from there. All
    methods raise a subclass of `nas.NasError` for what a user can mend.
    """

    resolved: Resolved
    folder: RunFolder
    trust: bool
    callbacks: Callbacks

    def __init__(
        self,
        *,
        space: SpaceLike,
        data: PicturesLike,
        strategy: Strategy | str | Path | Mapping[str, Any],
        model: nn.Module | str | None = None,
        limit: str | Mapping[str, Any] | None = None,
        folder: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
        **settings: Any,
    ) -> None:
        """A study as a Python program says it; `from_yaml` reads the same from a file.

        `space` is a file, or what stands in one; with a `model` (a name, or a module of your own with its weights), its
        choices are enough. `data` are what stands behind `data:`, a path, or data sets of your own, whose items are a
        picture and its class. `limit` may be text, "macs: 50%". `settings` are all other keys of a study (base,
        supernet, retrain, task, seed, name ...): plain values, or objects such as a `nas.training.Recipe`. `callbacks`
        hear what happens.

        Raises as `from_yaml` does.
        """
        document = document_of(space, data, model, limit, {"strategy": strategy, **settings})
        resolved = resolve(document, folder=None if folder is None else Path(folder))
        resolved.check()
        check_outputs(resolved)
        self._set(resolved, folder or resolved.config.run_folder, True, callbacks)

    @classmethod
    def of(cls, resolved: Resolved, folder: str | Path, *, trust: bool = True) -> Study:
        """The study that was read, in a folder."""
        study = cls.__new__(cls)
        study._set(resolved, folder, trust, ())
        return study

    def _set(self, resolved: Resolved, folder: str | Path, trust: bool, callbacks: Sequence[Callback]) -> None:
        self.resolved = resolved
        self.folder = RunFolder(Path(folder))
        self.trust = trust
        self.callbacks = Callbacks(tuple(callbacks))

    @classmethod
    def from_yaml(
        cls,
        path_or_text: str | Path,
        *,
        overrides: Sequence[str] | Mapping[str, str] = (),
        folder: str | Path | None = None,
        trust: bool = False,
    ) -> Study:
        """The study of a YAML file (or text), changed by `overrides` such as "strategy.trials=50".

        Its run lies in `folder`, else in what the file says, else in runs/NAME. Raises `ConfigError` with every fault
        of the file, of those it names, of its data and of its limit, and with what its strategy refuses.

        Who writes a study trusts the hosts that it names; those that the folders of `warm_start` name, with `trust`.
        """
        resolved = resolve(path_or_text, overrides, trust=trust, folder=None if folder is None else Path(folder))
        resolved.check()
        return cls.of(resolved, folder or resolved.config.run_folder)

    @classmethod
    def open(
        cls, folder: str | Path, *, overrides: Sequence[str] | Mapping[str, str] = (), trust: bool = False
    ) -> Study:
        """The study of a run that was begun, wherever its folder lies now; "data.path=DIR" in `overrides` says where
        its images are now, "latency.batches=[1]" how its models are timed, also after they were, "eval_batch=64" how
        many images they see together where they are measured, and "supernet.batch=8" makes a training that has not
        begun fit into memory. Raises `RunError` when there is no run in the folder, and for other overrides.

        The folder may be somebody else's: without `trust`, what would connect to a host that it names, or write to a
        file outside of it, raises `RunError` (see `nas.studies.run.trust`). Strategies are checked when they run.
        """
        record = Record.open(folder, trust=trust)
        free = ("data.path", "latency", "eval_batch", *adjustable())
        if [key for key in pairs(overrides) if key not in free and not key.startswith("latency.")]:
            raise RunError(f"{folder}: a run continues with its own settings; allowed: --set data.path=..., where its "
                           "images are now, latency.batches, latency.seconds and eval_batch; before a stage has begun "
                           "also its batch, accumulate and grad_checkpointing (supernet.batch=16); other settings go "
                           "with a study's YAML file")  # fmt: skip
        finished = [stage.name for stage in STAGES if record.folder.done(stage)]
        resolved = resolve(
            record.folder.study_file, overrides, finished=finished, trust=trust, folder=record.folder.path
        )
        return cls.of(resolved, folder, trust=trust)

    @property
    def record(self) -> Record:
        """What the run has left so far. Raises `RunError` when it was never begun."""
        return Record.open(self.folder.path, trust=self.trust)

    def run(self, *, quiet: bool = False, start: str | None = None) -> Record:
        """Runs the stages that are not done. Run again to continue after an interruption: the result is the same. From
        the stage `start` on, all is dropped and made anew.

        Raises `RunError` when the folder holds a run with other settings, when a stage that others were made from has
        lost its result, when files were changed since they were written, or when another process is running the study,
        here or in a copy of the folder with the same store.
        """
        first = None if start is None else stage_called(start)
        console = Terminal(stderr=True, quiet=quiet)
        stages = remaining(self.folder, first)
        self._check(stages)
        with self.folder.lock():
            begin(self.resolved, self.folder, () if first is None else STAGES[STAGES.index(first) :])
            self.record.verify(before=first)
            # Other settings of what is only read may have reopened a stage.
            self._check([stage for stage in remaining(self.folder, first) if stage not in stages])
            if remaining(self.folder, first):
                run_stages(self._workshop(show=not quiet), console, first)
        if not quiet:
            out = Terminal()
            summary(out, Findings(self.record))
            out.say(f"report: {self.folder.path / 'report' / 'report.html'}")
        return self.record

    def forecast(self) -> Forecast:
        """What the stages that are not done would take, from a few timed steps; nothing is written. Raises as `run`
        does where it cannot begin.
        """
        stages = remaining(self.folder)
        self._check(stages)
        return forecast(self.resolved, stages)

    def trials(self) -> pd.DataFrame:
        """One row per trial, one column per choice: see `nas.studies.run.frames.trials_frame`."""
        return self.record.trials()

    def running(self) -> pd.DataFrame:
        """Who runs the study now, and the trials under way: see `nas.studies.run.frames.running_frame`."""
        return self.record.running()

    def pareto(self) -> pd.DataFrame:
        """The front over the study's objectives (a single one: and over the size), cheapest first, with its knee."""
        return self.record.pareto()

    def finalists(self) -> pd.DataFrame:
        """What the rounds decided in which finalists were trained: see `nas.studies.run.frames.finalists_frame`."""
        return self.record.finalists()

    def extract(
        self, *, digest: str | None = None, number: int | None = None, to: str | Path | None = None
    ) -> nn.Module:
        """An architecture as a plain module, with its weights from the supernet; the winner when none is named.

        `digest` may be its first letters; `number` is a trial's. The supernet is the one on which the architecture was
        measured: of two, that of the study's strategy. With `to`, the model is saved in that folder
        (`nas.load`).
        """
        extracted = of_run(self.record, digest=digest, number=number)
        if to is not None:
            extracted.write(Path(to))
        return extracted.module

    def retrain(self, *, digest: str | None = None, number: int | None = None) -> RowResult:
        """Retrains an architecture by the study's recipe, and measures it on the test split; the winner when none is
        named.

        The model lies in the run's folder retrain/winner or retrain/DIGEST. Returns its row of the results table, but
        for latency.
        """
        self.folder.need(SUPERNET)
        architecture, strategy = self._named(digest, number)
        self._require_trust()
        trainers.check(self.resolved, [RETRAIN])
        with self.folder.lock():
            workshop = self._workshop()
            folder = self.folder.stage(RETRAIN.name) / self._role(architecture)
            extracted = folder.with_name(f"{folder.name}-start")
            if workshop.config.retrain.loss != "adjoined":  # which starts from the supernet itself
                supernet = workshop.supernets.of(strategy)
                with replaced_folder(extracted) as written:
                    save(written, supernet.extract(architecture), workshop.blueprint(supernet, architecture, {}))
            retrain(workshop, partial(workshop.supernets.of, strategy), architecture, extracted, folder)
            costs = workshop.cost.counts(architecture)
            return row_of(workshop, f"{folder.name}{RETRAINED}", load(folder), architecture.digest, costs, {}).row

    def retrain_found(
        self, found: FoundArchitecture, *, weights: str = "base", source: Record | None = None, quiet: bool = False
    ) -> RowResult:
        """Retrains an architecture of another run, `nas.studies.run.found.found_by` it or read from a file, by this
        study: on its data, at its image size, by its recipe; and measures it on the test split.

        It starts from fresh `weights` ("scratch"), from those of this study's base model ("base"), or from those of a
        supernet ("supernet"): of the run `source`, brought to this study's image size and classes, or without it of
        this study's own. The stages that are needed for that are run before. All lies in this study's run, in the
        folder architectures; run again to continue after an interruption. Raises `SpaceError` where the study's space
        does not hold it.
        """
        start = start_called(weights)
        in_space(found, self.resolved.space, self.resolved.config.name)
        last = stage_before(self.resolved.config, start, source)
        self._check([*up_to(last, remaining(self.folder)), RETRAIN])
        with self.folder.lock():
            begin(self.resolved, self.folder)
            self.record.verify()
            workshop = self._workshop(show=not quiet)
            if up_to(last, remaining(self.folder)):
                run_stages(workshop, Terminal(stderr=True, quiet=quiet), last=last)
            return retrain_elsewhere(workshop, found, start, source)

    def tau(  # noqa: PLR0913  (one per option)
        self,
        *,
        architectures: int = 12,
        seeds: int = 3,
        epochs: int | None = None,
        loss: str | None = None,
        from_scratch: bool = False,
        workers: int = 1,
        address: str = "local",
        beside: Sequence[Path] = (),
        proxies: Sequence[str] = (),
    ) -> RankTruth:
        """Whether the ranking with shared weights holds after retraining: see `Question` of `nas.studies.tau` for what
        may be asked, and `RankTruth` for its frames.

        By default a stratified dozen of architectures is retrained by the study's recipe, as its winner was, with three
        seeds each. All is measured on the search-validation split, and stands in the report from then on. `beside` are
        folders of runs of the same study with other seeds, see `nas.studies.tau.tau.rank_truth`; `proxies` are names of
        `nas.proxies`, or "all".
        """
        from nas.studies.tau.tau import Question, rank_truth

        question = Question(
            architectures=architectures,
            seeds=seeds,
            epochs=epochs,
            loss=loss,
            from_scratch=from_scratch,
            workers=workers,
            address=address,
            proxies=proxies,
        )
        self.folder.need(EXPLORE)
        others = [Study.open(path, trust=self.trust)._workshop(show=False) for path in beside]
        with self.folder.lock():
            truth = rank_truth(self._workshop(), question, Terminal(stderr=True), others)
            if self.folder.result(REPORT) is not None:
                write_report(self.record)
        return truth

    def _check(self, stages: Sequence[Stage[StageResult]]) -> None:
        """Raises what hinders these stages from running, before anything is written."""
        if stages:
            self._require_trust()
            trainers.check(self.resolved, stages)
            starting.check(self.resolved, stages)
        if EXPLORE in stages:
            self.resolved.check()

    def _require_trust(self) -> None:
        """Raises `RunError` when the folder, and not the user, says where to connect to, or what to write elsewhere."""
        if not self.trust:
            document = self.resolved.document
            places = {
                dotted(path): marker.reached(document.get(path), self.folder.path)
                for path, marker in marked(StudyConfig, document.data)
                if isinstance(marker, Reaching)
            }
            require_trust(self.folder.path, places)

    def _role(self, architecture: Architecture) -> str:
        wins = self.folder.decided and architecture.digest == self.folder.roles()[WINNER].digest
        return WINNER if wins else architecture.digest

    def _named(self, digest: str | None, number: int | None) -> tuple[Architecture, str]:
        """An architecture, and the strategy that found it."""
        found = found_by(self.record, digest=digest, number=number)
        return found.value, found.strategy

    def _workshop(self, *, show: bool = True) -> Workshop:
        record = self.record
        if others := differences(record.settings, self.resolved.settings):
            raise RunError(f"{self.folder}: the run has other settings: {', '.join(others)}; only nas run changes them")
        identity = record.identity
        torch.set_num_threads(self.resolved.config.threads or identity.threads)
        return Workshop(self.resolved, self.folder, identity, show=show, callbacks=self.callbacks)
