"""The search's side of an NNI experiment: what is proposed, and what comes back, trial by trial."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

from nas.errors import StrategyError
from nas.numbers import Trials, Workers
from nas.search.dispatch import Dispatcher, Job
from nas.search.search import Search
from nas.search.strategy import AskTell
from nas.search.trial import Outcome, Trial
from nas.system.packing import pack
from nas.training import Recipe

RECIPE = Recipe(epochs=3, lr=1e-3, warmup=1)
PATIENCE = 120
"""Seconds that NNI's manager gets to stop its trials and itself."""


@final
@dataclass(frozen=True, kw_only=True)
class Experiment:
    """How an NNI experiment measures candidates.

    workers    trials at the same time
    round      proposals in a round: NNI learns from whole rounds, so that one worker and many find the same
    training   of each candidate, from its weights in the supernet, with the task's criterion alone
    """

    workers: Workers = 1
    round: Trials = 4
    training: Recipe = RECIPE


def trials_of(options: Experiment, strategy: AskTell, search: Search) -> Iterator[Trial]:
    """Trials, each as soon as it is known. The metrics are those after training, not those of the supernet."""
    dispatcher = Dispatcher(strategy, search, options.round)
    known = len(search.history)
    dispatcher.prepare()
    yield from search.history[known:]
    if dispatcher.finished:
        return
    with _manager(options, search) as manager:
        running: dict[int, tuple[Job, float]] = {}
        while not dispatcher.finished:
            known = len(search.history)
            while len(running) < options.workers and (job := dispatcher.next()) is not None:
                manager.submit(job)
                running[job.number] = job, time.perf_counter()
            if running:
                message = manager.receive()
                job, started = running.pop(message["number"])
                dispatcher.settle(job.number, _outcome(message, time.perf_counter() - started))
            yield from search.history[known:]  # proposals that repeat what was measured are among them


def _outcome(message: dict[str, Any], seconds: float) -> Outcome:
    return Outcome({}, message["fault"], seconds) if "fault" in message else Outcome.of(message["metrics"], seconds)


@final
@dataclass(frozen=True)
class _Manager:
    """The process `host`, in which NNI's manager is kept."""

    process: subprocess.Popen[str]
    log: Path

    def submit(self, job: Job) -> None:
        """Hand a candidate over."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # `receive` says why
            self.process.stdin.write(json.dumps({"number": job.number, "architecture": dict(job.architecture)}) + "\n")
            self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """The next thing that it says. Raises `StrategyError` when it cannot go on."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        message: dict[str, Any] = json.loads(line) if line else {"broken": self._last()}
        if "broken" in message:
            raise StrategyError(f"NNI's experiment cannot go on: {message['broken']}; run the same command to continue")
        return message

    def stop(self) -> None:
        """The end of its input is what it stops at; if it does not, its end is what NNI's manager stops at."""
        try:
            self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _last(self) -> str:
        """The last line of the log."""
        return self.log.read_text(errors="replace").strip().rpartition("\n")[2] or "its host has ended"


@contextmanager
def _manager(options: Experiment, search: Search) -> Iterator[_Manager]:
    """NNI's manager, and its folder, for as long as the search lasts."""
    with tempfile.TemporaryDirectory(prefix="nas-nni-") as folder, (Path(folder) / "host.log").open("w") as log:
        _write_training(Path(folder) / "training", options, search)
        problem = search.problem
        space = {name: {"_type": "choice", "_value": list(choice.values)} for name, choice in problem.space.items()}
        settings = {"name": problem.strategy, "workers": options.workers, "space": space}
        command = [sys.executable, "-P", "-m", "nas.strategies._nni_experiment.host", folder, json.dumps(settings)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
        manager = _Manager(process, Path(log.name))
        try:
            url = manager.receive()["url"]
            if search.work is not None and search.work.runtime.progress:
                print(f"NNI's page, for this machine only: {url}", file=sys.stderr)
            yield manager
        finally:
            manager.stop()


def _write_training(path: Path, options: Experiment, search: Search) -> None:
    from nas.strategies._nni_experiment.trial import CandidateTraining

    supernet, work = search.supernet, search.work
    assert supernet is not None, "an experiment needs a supernet"
    assert work is not None, "an experiment needs data to train on"
    threads = max(1, torch.get_num_threads() // options.workers)
    device = str(work.runtime.device)
    training = CandidateTraining(
        supernet, work.data, options.training, work.seed, device, threads, eval_batch=work.eval_batch
    )
    with path.open("wb") as file:
        pickle.dump(pack(training), file, protocol=pickle.HIGHEST_PROTOCOL)
