"""The stages of a study, one after the other, in the one process that drives it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

from rich.text import Text

from nas import words
from nas.errors import RunError
from nas.studies.run.folder import RunFolder
from nas.studies.run.results import EXPLORE, STAGES, Stage, StageResult, Stamp
from nas.studies.run.seals import Seal, of_files, of_trials
from nas.studies.stages.order import KEPT, RUN
from nas.studies.stages.workshop import CHECKPOINT, ORDERING, Workshop
from nas.studies.store.drivers import GRACE, Driver
from nas.studies.store.heartbeat import driving
from nas.studies.store.store import Store
from nas.system.environment import commit
from nas.system.memory import memory_of
from nas.system.terminal import Terminal


def remaining(folder: RunFolder, start: Stage[StageResult] | None = None) -> list[Stage[StageResult]]:
    """Stages that are to run: those without a result, and all from `start` on.

    Raises `RunError` where a stage has no result, but later ones do: to make it anew would drop what those have found,
    which is asked for by `start`, and never done because a file is gone.
    """
    before = STAGES if start is None else STAGES[: STAGES.index(start)]
    missing = [stage for stage in before if folder.result(stage) is None and not folder.spared(stage)]
    anew = [] if start is None else STAGES[STAGES.index(start) :]
    if missing and (lost := folder.found_after(missing[0])):
        raise RunError(
            f"{folder}: the stage '{missing[0]}' has no result (any more), but what was made from it is there: "
            f"{', '.join(lost)}; put its result.json back, or, to drop all that, {folder.again(missing[0])}"
        )
    return [*missing, *anew]


def up_to(last: Stage[StageResult], stages: Sequence[Stage[StageResult]]) -> list[Stage[StageResult]]:
    """Those of the stages that are not behind `last`."""
    return [stage for stage in stages if STAGES.index(stage) <= STAGES.index(last)]


def run_stages(
    workshop: Workshop,
    console: Terminal,
    start: Stage[StageResult] | None = None,
    last: Stage[StageResult] = STAGES[-1],
) -> None:
    """Runs the stages that remain, up to the `last`; from `start` on, what there is of them is dropped before.

    Raises `RunError` when another process is running the study.
    """
    stages = up_to(last, remaining(workshop.folder, start))
    with _driving(workshop, stages[0], console):
        if start is not None:
            workshop.folder.forget_from(start)
        if start is EXPLORE:  # earlier stages do so when they run
            with workshop.store() as store:
                store.clear(workshop.run_id)
        workshop.folder.drop_partial()
        for stage in STAGES:
            if workshop.folder.done(stage):
                _drop_checkpoints(workshop.folder, stage)  # of a driver that was killed before it could
        for stage in stages:
            _run(workshop, stage, console)


def _run(workshop: Workshop, stage: Stage[StageResult], console: Terminal) -> None:
    folder = workshop.folder
    workshop.check_lease()
    folder.forget_after(stage)
    workshop.activity.stage = stage.name
    started = time.perf_counter()
    with memory_of(stage.name):
        result = RUN[stage](workshop)
    seconds = time.perf_counter() - started
    seal = _seal(workshop, stage)
    workshop.check_lease()
    folder.finish(stage, result, Stamp(seconds, commit(), seal))
    _drop_checkpoints(folder, stage)
    workshop.callbacks.on_stage(stage.name, result)
    console.say(
        Text(f"{stage.name:9}", style="bold"), f" {words.seconds(seconds):>12}  {result.outcome(workshop.metric)}"
    )
    for warning in result.warnings:
        console.print(f"note: {warning}", highlight=False, soft_wrap=True, markup=False)


def _drop_checkpoints(folder: RunFolder, stage: Stage[StageResult]) -> None:
    """Drops what a finished stage would have gone on from."""
    for checkpoint in (CHECKPOINT, ORDERING):
        (folder.path / stage.name / checkpoint).unlink(missing_ok=True)


def _seal(workshop: Workshop, stage: Stage[StageResult]) -> Seal:
    """The checksums of what a stage, which is about to be finished, was made with and has left."""
    trials = None
    if stage is EXPLORE:
        with workshop.store() as store:
            trials = of_trials(store.trials(workshop.run_id, choices=workshop.choices))
    files = of_files(workshop.folder.path / stage.name, KEPT[stage])
    return Seal(settings=workshop.settings, files=files, trials=trials)


@contextlib.contextmanager
def _driving(workshop: Workshop, first: Stage[StageResult], console: Terminal) -> Iterator[None]:
    """Says in the store that this process runs the study, from the stage `first` on."""

    def waiting(other: Driver) -> None:
        console.say(f"{other} was running this study: waiting up to {GRACE:g} s for a sign of its life")

    if STAGES.index(first) > STAGES.index(EXPLORE):
        Store.open(workshop.store_url).close()  # what later stages are about is in there: it must not be made anew
    with driving(workshop.store(), workshop.run_id, workshop.activity, waiting) as workshop.lease:
        yield
    workshop.lease = None
