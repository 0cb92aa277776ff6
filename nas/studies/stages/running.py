"""The stages of a study, one after the other, in the one process that drives it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.text import Text

from nas import words
from nas.studies.run.folder import RunFolder
from nas.studies.run.results import EXPLORE, STAGES, Stage, StageResult, Stamp
from nas.studies.stages.order import RUN
from nas.studies.stages.workshop import CHECKPOINT, ORDERING, Workshop
from nas.studies.store.drivers import GRACE, Driver
from nas.studies.store.heartbeat import driving
from nas.studies.store.store import Store
from nas.system.environment import commit
from nas.system.terminal import Terminal


def unfinished(folder: RunFolder) -> list[Stage[StageResult]]:
    """Stages that have left no result yet."""
    return [stage for stage in STAGES if folder.result(stage) is None]


def run_stages(workshop: Workshop, console: Terminal) -> None:
    """Runs the stages that are not done; one that ran drops the results of those behind it, which are then made anew.

    Raises `RunError` when another process is running the study.
    """
    first = unfinished(workshop.folder)[0]
    with _driving(workshop, first, console):
        for stage in STAGES:
            if workshop.folder.result(stage) is None:
                _run(workshop, stage, console)


def _run(workshop: Workshop, stage: Stage[StageResult], console: Terminal) -> None:
    folder = workshop.folder
    workshop.check_lease()
    folder.forget_after(stage)
    workshop.activity.stage = stage.name
    started = time.perf_counter()
    result = RUN[stage](workshop)
    seconds = time.perf_counter() - started
    workshop.check_lease()
    folder.finish(stage, result, Stamp(seconds, commit()))
    for checkpoint in (CHECKPOINT, ORDERING):
        (folder.path / stage.name / checkpoint).unlink(missing_ok=True)
    console.say(
        Text(f"{stage.name:9}", style="bold"), f" {words.seconds(seconds):>12}  {result.outcome(workshop.metric)}"
    )
    for warning in result.warnings:
        console.print(f"note: {warning}", highlight=False, soft_wrap=True, markup=False)


@contextlib.contextmanager
def _driving(workshop: Workshop, first: Stage[StageResult], console: Terminal) -> Iterator[None]:
    """Says in the store that this process runs the study, from the stage `first` on."""

    def waiting(other: Driver) -> None:
        console.say(f"{other} was running this study: waiting up to {GRACE:g} s for a sign of its life")

    if STAGES.index(first) > STAGES.index(EXPLORE):
        Store.open(workshop.store_url).close()  # what later stages are about is in there: it must not be made anew
    with driving(workshop.store(), workshop.run_id, workshop.activity, waiting) as workshop.lease:
        yield
