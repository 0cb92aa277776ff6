"""A study, start to end: seven stages, each skipped when its result is in the folder, so that a killed run goes on
where it was.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, final

import pandas as pd
import torch
from rich.console import Console
from ruamel.yaml import YAML
from torch import nn

from nas import words
from nas.errors import RunError
from nas.searchspaces import Architecture
from nas.studies.file.presets import pairs
from nas.studies.file.resolve import Resolved, resolve
from nas.studies.file.settings import differences
from nas.studies.report.files import write_report
from nas.studies.report.findings import Findings
from nas.studies.report.terminal import summary, terminal
from nas.studies.run.folder import STAGES, RunFolder, replaced_folder, write_bytes, write_json
from nas.studies.run.prior import plain
from nas.studies.run.rank_truth import RankTruth
from nas.studies.run.record import Record
from nas.studies.stages import retrain as retraining
from nas.studies.stages import trainers
from nas.studies.stages.measuring import row_of
from nas.studies.stages.workshop import CHECKPOINT, ORDERING, Workshop
from nas.studies.store.drivers import GRACE, Driver
from nas.studies.store.heartbeat import driving
from nas.studies.store.store import Store
from nas.supernets import load, save
from nas.system.environment import commit, version


@final
class Study:
    """A study and its run's folder.

    Everything that a run finds lies in the folder; a `Study` can be made anew at any time, and goes on from there. All
    methods raise a subclass of `nas.NasError` for what a user can mend.
    """

    def __init__(self, resolved: Resolved, folder: str | Path) -> None:
        self.resolved = resolved
        self.folder = RunFolder(Path(folder))

    @classmethod
    def from_yaml(
        cls,
        path_or_text: str | Path,
        *,
        overrides: Sequence[str] | Mapping[str, str] = (),
        folder: str | Path | None = None,
    ) -> Study:
        """The study of a YAML file (or text), changed by `overrides` such as "strategy.trials=50".

        Its run lies in `folder`, else in what the file says, else in runs/NAME. Raises `ConfigError` with every fault
        of the file, of those it names, of its data and of its limit.
        """
        resolved = resolve(path_or_text, overrides)
        config = resolved.config
        return cls(resolved, folder or config.folder or Path("runs") / config.name)

    @classmethod
    def open(cls, folder: str | Path, *, overrides: Sequence[str] | Mapping[str, str] = ()) -> Study:
        """The study of a run that was begun, wherever its folder lies now; "data.path=DIR" in `overrides` says where
        its images are now. Raises `RunError` when there is no run in the folder, and for other overrides.
        """
        record = Record.open(folder)
        if pairs(overrides).keys() - {"data.path"}:
            raise RunError(f"{folder}: a run continues with its own settings; allowed: --set data.path=..., where its "
                           "images are now; other settings go with a study's YAML file")  # fmt: skip
        return cls(resolve(record.folder.study_file, overrides, finished=record.finished), folder)

    @property
    def record(self) -> Record:
        """What the run has left so far. Raises `RunError` when it was never begun."""
        return Record.open(self.folder.path)

    def run(self, *, quiet: bool = False) -> Record:
        """Runs the stages that are not done. Run again to continue after an interruption: the result is the same.

        Raises `RunError` when the folder holds a run with other settings, or when another process is running it, here
        or in a copy of the folder with the same store.
        """
        console = terminal(stderr=True, quiet=quiet)
        trainers.check(self.resolved.config, [stage for stage in STAGES if self.folder.result(stage) is None])
        with self.folder.lock():
            self._begin()
            first = next((stage for stage in STAGES if self.folder.result(stage) is None), None)
            if first is not None:
                with self._driving(first, console):
                    for stage in STAGES:
                        if self.folder.result(stage) is None:
                            self._stage(stage, console, show=not quiet)
        if not quiet:
            out = terminal()
            summary(out, Findings(self.record))
            out.print(f"report: {self.folder.path / 'report' / 'report.html'}", highlight=False, soft_wrap=True)
        return self.record

    def trials(self) -> pd.DataFrame:
        """One row per trial, one column per choice: see `nas.studies.run.frames.trials_frame`."""
        return self.record.trials()

    def running(self) -> pd.DataFrame:
        """Who runs the study now, and the trials under way: see `nas.studies.run.frames.running_frame`."""
        return self.record.running()

    def pareto(self) -> pd.DataFrame:
        """The front over the study's objectives (a single one: and over MACs), cheapest first, with its knee."""
        return self.record.pareto()

    def extract(
        self, *, digest: str | None = None, number: int | None = None, to: str | Path | None = None
    ) -> nn.Module:
        """An architecture as a plain module, with its weights from the supernet; the winner when none is named.

        `digest` may be its first letters; `number` is a trial's. The supernet is the one on which the architecture was
        measured: of two, that of the study's strategy. With `to`, the model is saved in that folder
        (`nas.load`).
        """
        self.folder.need("supernet")
        architecture, strategy = self._named(digest, number)
        workshop = self._workshop()
        supernet = workshop.supernet(strategy)
        module = supernet.extract(architecture).eval()
        if to is not None:
            if Path(to).exists() and (not Path(to).is_dir() or any(Path(to).iterdir())):
                raise RunError(f"{to}: exists and is not an empty folder; choose another")
            with replaced_folder(Path(to)) as partial:
                save(partial, module, workshop.blueprint(supernet, architecture, {"retrained": False}))
        return module

    def retrain(self, *, digest: str | None = None, number: int | None = None) -> dict[str, Any]:
        """Retrains an architecture by the study's recipe, and measures it on the test split; the winner when none is
        named.

        The model lies in the run's folder retrain/winner or retrain/DIGEST. Returns its row of the results table, but
        for latency.
        """
        self.folder.need("supernet")
        architecture, strategy = self._named(digest, number)
        trainers.check(self.resolved.config, ("retrain",))
        with self.folder.lock():
            workshop = self._workshop()
            place = self.folder.stage("retrain") / self._role(architecture)
            extracted = place.with_name(f"{place.name}-start")
            if workshop.config.retrain.loss != "adjoined":
                supernet = workshop.supernet(strategy)
                with replaced_folder(extracted) as partial:
                    save(partial, supernet.extract(architecture), workshop.blueprint(supernet, architecture, {}))
            retraining.retrain(workshop, architecture, extracted, place, strategy=strategy)
            counted = {
                "digest": architecture.digest,
                **workshop.cost.counts(architecture),
            }
            return row_of(workshop, f"{place.name}, retrained", load(place), counted, {})

    def tau(
        self,
        *,
        architectures: int = 12,
        epochs: int | None = None,
        loss: str | None = None,
        from_scratch: bool = False,
        workers: int = 1,
        address: str = "local",
    ) -> RankTruth:
        """Whether the ranking with shared weights holds after retraining: see `Question` of `nas.studies.tau` for what
        may be asked, and `RankTruth` for its frames.

        By default a stratified dozen of architectures is retrained by the study's recipe, as its winner was. All is
        measured on the search-validation split, and stands in the report from then on.
        """
        from nas.studies.tau.tau import Question, rank_truth

        question = Question(
            architectures=architectures,
            epochs=epochs,
            loss=loss,
            from_scratch=from_scratch,
            workers=workers,
            address=address,
        )
        self.folder.need("explore")
        with self.folder.lock():
            truth = rank_truth(self._workshop(), question, terminal(stderr=True))
            if self.folder.result("report") is not None:
                write_report(self.record)
        return truth

    def _role(self, architecture: Architecture) -> str:
        explored = self.folder.result("explore") or {}
        winner = explored.get("winner", {}).get("digest")
        return "winner" if architecture.digest == winner else architecture.digest

    def _named(self, digest: str | None, number: int | None) -> tuple[Architecture, str]:
        """An architecture, and the strategy that found it."""
        if digest is not None and number is not None:
            raise RunError("name an architecture by its digest or by its trial's number, not by both")
        if digest is None and number is None:
            best = self.folder.need("explore")["winner"]
            return Architecture(best["architecture"]), str(best["strategy"])
        trial = self.record.find(digest=digest, number=number)
        return trial.architecture, trial.strategy

    def _workshop(self, *, show: bool = True) -> Workshop:
        identity = self.record.identity
        torch.set_num_threads(self.resolved.config.threads or int(identity["threads"]))
        return Workshop(self.resolved, self.folder, identity, show=show)

    def _begin(self) -> None:
        """Writes who this run is; study.yaml last, since it is what makes a folder a run.

        Once `prepare` is done, the folder is this study's; until then nothing was found that a change of the study
        could spoil.
        """
        if self.folder.exists and self.folder.result("prepare") is not None:
            self._refuse_others()
            if self.record.settings["data"] != self.resolved.settings["data"]:
                self._write_settings()
            return
        identity = {
            "id": uuid.uuid4().hex,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "commit": commit(),
            "version": version(),
            "threads": self.resolved.config.threads or torch.get_num_threads(),
        }
        write_json(self.folder.path / "run.json", identity)
        if self.resolved.prior:
            write_json(self.folder.prior_file, plain(self.resolved.prior))
        self._write_settings()

    def _write_settings(self) -> None:
        text, yaml = io.StringIO(), YAML()
        yaml.width = 120
        yaml.dump(dict(self.resolved.settings), text)
        write_bytes(self.folder.study_file, text.getvalue().encode())

    def _refuse_others(self) -> None:
        other = differences(self.record.settings, self.resolved.settings)
        if other:
            raise RunError(
                f"{self.folder}: the run in this folder has other settings: {', '.join(other)}; "
                "choose another folder with --folder, or delete this one"
            )

    @contextlib.contextmanager
    def _driving(self, first: str, console: Console) -> Iterator[None]:
        """Says in the store that this process runs the study, from the stage `first` on."""
        workshop = self._running

        def waiting(other: Driver) -> None:
            told = f"{other} was running this study: waiting up to {GRACE:g} s for a sign of its life"
            console.print(told, highlight=False, soft_wrap=True)

        if STAGES.index(first) > STAGES.index("explore"):
            Store.open(workshop.store_url).close()  # what later stages are about is in there: it must not be made anew
        workshop.driver = None
        with driving(workshop.store(), workshop.run_id, workshop.activity, waiting) as workshop.driver:
            yield

    @cached_property
    def _running(self) -> Workshop:
        return self._workshop()

    def _stage(self, stage: str, console: Console, *, show: bool) -> None:
        self.folder.forget_after(stage)
        workshop = self._running
        workshop.show = show
        workshop.activity.stage = stage
        started = time.perf_counter()
        result = import_module(f"nas.studies.stages.{stage}").run(workshop)
        taken = time.perf_counter() - started
        self.folder.finish(stage, {**result, "seconds": taken, "commit": commit()})
        for checkpoint in (CHECKPOINT, ORDERING):
            (self.folder.path / stage / checkpoint).unlink(missing_ok=True)
        console.print(
            f"[bold]{stage:9}[/bold] {words.seconds(taken):>12}  {_outcome(stage, result)}",
            highlight=False,
            soft_wrap=True,
        )


def _outcome(stage: str, result: Mapping[str, Any]) -> str:
    """What a stage found, in a few words."""
    if stage == "prepare":
        space, limit = result["space"], result["limit"]
        return (
            f"{words.architectures(space['architectures'])} architectures, {words.share(limit['share'])} within "
            f"the limit ({limit['text']})"
        )
    if stage == "base":
        return f"validation accuracy {words.percent(result['validation']['accuracy'])}"
    if stage == "supernet":
        found = result["validation"]
        return (
            f"validation accuracy {words.percent(found['accuracy'])} largest, {words.percent(found['smallest'])} "
            "smallest"
        )
    if stage == "explore":
        best = result["winner"]
        return (
            f"winner {best['digest']}, {words.amount(best['costs']['macs'])} MACs, {result['measured']} "
            "architectures measured"
        )
    if stage == "extract":
        return f"greatest difference to the supernet {result['winner']['difference']:g}"
    if stage == "retrain":
        best = next(row for row in result["rows"] if row["model"] == "winner, retrained")
        return f"test accuracy {words.percent(best['test_accuracy'])}"
    return ", ".join(result["files"])
