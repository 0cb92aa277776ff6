"""What searches on Ray are tested with; workers and other processes import it too."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import ray

from nas.search import Search, Trial
from nas.search.dispatch import Dispatcher
from nas.search.trial import Outcome
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.limit import Limit
from nas.strategies.evolution import Evolution
from nas.strategies.with_raytune import strategy
from nas.strategies.with_raytune.controller import Controller, Plan
from nas.strategies.with_raytune.strategy import WithRaytune
from nas.system import head
from nas.system.cluster import Cluster
from nas.testing.toy import Toy, ToyMeasure

TRIALS = 12
SEARCHER = {"use": "evolution", "population": 4, "sample": 2}


def on_ray(**options: Any) -> WithRaytune:
    return WithRaytune(**{"trials": TRIALS, "searcher": SEARCHER, "round": 5} | options)


def live(toy_measure: Mapping[str, Any] | None = None, /, **options: Any) -> Search:
    toy = Toy()
    given: dict[str, Any] = {
        "trials": TRIALS,
        "limit": Limit(toy, macs="60%"),
        "measure": ToyMeasure(toy, **toy_measure or {}),
    }
    return toy.search(**given | options)


def plain(trials: list[Trial]) -> list[Any]:
    """What must be the same; also after a journey as JSON."""
    ordered = sorted(trials, key=lambda trial: trial.number)
    return [[t.number, t.architecture.digest, dict(t.metrics), t.error, t.cached] for t in ordered]


def without_ray(search: Search) -> list[Any]:
    """The same rounds, one job after the other in this process."""
    dispatcher = Dispatcher(Evolution(trials=TRIALS, population=4, sample=2), search, 5)
    while (job := dispatcher.next()) is not None:
        try:
            outcome = Outcome(search.measure(job.architecture))
        except RuntimeError as fault:
            outcome = Outcome({}, f"RuntimeError: {fault}")
        dispatcher.settle(job.number, outcome)
    return plain(search.history)


@dataclass(frozen=True)
class Assigned:
    """Measures what Ray has given to the worker, too."""

    measure: ToyMeasure

    def stages(self, architecture: Architecture, shares: Sequence[float]) -> Iterator[Mapping[str, float]]:
        given = ray.get_runtime_context().get_assigned_resources()
        threads = float(os.environ["OMP_NUM_THREADS"])
        for metrics in self.measure.stages(architecture, shares):
            yield {**metrics, "cpus": given["CPU"], "gpus": given["GPU"], "threads": threads}


class Dying(Controller):
    """Dies, once, at its fourth answer; the mark that it did is in the folder for Tune's files."""

    def __init__(self, plan: Plan, measure: Any) -> None:
        super().__init__(plan, measure)
        self.mark = Path(str(plan.cluster.storage)) / "killed"
        self.left = 4

    def answer(self, answer: Any) -> None:
        self.left -= 1
        if not self.left and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().answer(answer)


def drive(address: str, folder: Path, die: int) -> None:
    """A driver: searches, with its table of trials in a file. It dies when so many are in it, after Tune did; with 0,
    nobody does.
    """

    def record(trial: Trial) -> None:
        record_in(folder, trial)
        if len(recorded(folder)) == die:
            os.kill(os.getpid(), signal.SIGKILL)

    search = live()
    search.record = record
    if die:
        strategy.Controller = Dying  # type: ignore[misc]
    list(on_ray(workers=1, ray=Cluster(address=address, storage=str(folder))).search(search))


def record_in(folder: Path, trial: Trial) -> None:
    with (folder / "trials").open("a") as file:
        file.write(json.dumps([trial.number, str(trial.architecture), dict(trial.metrics)]) + "\n")


def recorded(folder: Path) -> list[Trial]:
    """What a driver left behind."""
    table = folder / "trials"
    rows = [json.loads(line) for line in table.read_text().splitlines()] if table.exists() else []
    architectures = [Architecture.from_json(text) for _, text, _ in rows]
    return [
        Trial(number, architecture, metrics, Toy().counts(architecture), "toy", 0, 0.0)
        for (number, _, metrics), architecture in zip(rows, architectures, strict=True)
    ]


def lose_head(folder: Path, victim: str, die: int) -> None:
    """A driver that goes on from its table of trials, on a cluster of its own. When so many are in it, the process
    `victim` of Ray is killed; with 0, nobody is. What Ray had started is then in the file `pids`.
    """

    def record(trial: Trial) -> None:
        record_in(folder, trial)
        if len(recorded(folder)) == die:
            started = psutil.Process().children(recursive=True)
            (folder / "pids").write_text(json.dumps([process.pid for process in started]))
            next(process for process in started if process.name() == victim).kill()
            time.sleep(600)

    head.LOOK, head.PATIENCE = 0.1, 0.5
    search = live(history=recorded(folder))
    search.record = record
    list(on_ray(workers=1).search(search))


if __name__ == "__main__":
    import ray_fakes  # workers know this file by its name

    ray_fakes.drive(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
