"""Ray Tune: another strategy proposes, and workers on this machine or on a cluster measure, several at a time.

What they measure with (the trained supernet, the validation images) goes into Ray's object store once, and is mapped by
all workers; a Tune trial carries an architecture. Our table of trials is the truth: every outcome is recorded when it
comes back, and after a kill a new Tune run measures what is missing. Workers are class trainables that are kept from
trial to trial, since each function trainable would get a new process.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import queue
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, final

import ray
from pydantic import Field
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher

from nas.errors import StrategyError
from nas.searchspaces.architecture import Architecture
from nas.strategies.base import Strategy
from nas.strategies.dispatch import Dispatcher, Job
from nas.strategies.problem import Outcome, Problem, Staged, Trial
from nas.strategies.searcher import SearcherOptions, proposing

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # results are recorded by us
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a failure has no metrics
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the other one prints whatever the verbosity
}


@final
@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where the workers are, and what each gets.

    address   local (this machine, set up and taken down by the search), auto (the cluster that this machine is part
              of), or the cluster's HOST:PORT
    cpus      processor cores of a worker, and its threads
    gpus      GPUs of a worker; 0.25 puts four on one
    retries   how often an architecture is measured again when its worker dies
    storage   folder for Tune's own files that all machines see; only clusters of several machines may ask for one
    """

    address: Annotated[str, Field(min_length=1)] = "local"
    cpus: Annotated[float, Field(gt=0)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0
    retries: Annotated[int, Field(ge=0)] = 2
    storage: str | None = None


@final
@dataclass(frozen=True, kw_only=True)
class WithRaytune(Strategy):
    """Measures on Ray what another strategy proposes.

    searcher   who proposes: a black-box strategy's name, or a mapping with `use:` and its options
    workers    architectures measured at the same time
    mode       deterministic: proposals come in rounds, and depend on whole rounds only, so that one worker and many
               find the same. free: proposals depend on all that is known, no worker waits, and no two searches are
               alike
    round      proposals in a round; workers wait for its last one, so it should be some times their number
    asha       race the candidates (free mode only): each is measured on a share of the images first, and only the best
               1/eta of those seen so far go on to eta times as many (asynchronous successive halving, arXiv 1810.05934)
    rungs      how often: with 3 rungs and eta 3, the shares are 1/9, 1/3 and all
    eta        see above
    ray        see `Cluster`
    """

    searcher: SearcherOptions = "evolution"
    workers: Annotated[int, Field(ge=1)] = 2
    mode: Literal["deterministic", "free"] = "deterministic"
    round: Annotated[int, Field(ge=1)] = 10
    asha: bool = False
    rungs: Annotated[int, Field(ge=2)] = 3
    eta: Annotated[int, Field(ge=2)] = 3
    ray: Cluster = field(default_factory=Cluster)

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    """Its suite starts Ray once for all tests, see tests/strategies/test_with_raytune.py."""

    def check(self, problem: Problem) -> None:
        """Raise `StrategyError` for options that exclude each other, a problem that the searcher cannot search, or a
        cluster that does not answer.
        """
        if self.asha and self.mode == "deterministic":
            raise StrategyError(
                f"{problem.strategy}: found asha with mode: deterministic; who goes on depends on who came first, so "
                "allowed: mode: free, or asha: false"
            )
        if self.asha and len(problem.objectives) > 1:
            raise StrategyError(f"{problem.strategy}: found asha with {len(problem.objectives)} objectives; allowed: 1")
        proposing(self.searcher).check(problem)
        if self.ray.address != "local":
            _connect(self.ray, self.workers)

    def search(self, problem: Problem) -> Iterator[Trial]:
        """See `Strategy.search`."""
        self.check(problem)
        if self.asha and not isinstance(problem.measure, Staged):
            raise StrategyError(f"{problem.strategy}: found asha, but what measures here knows no shares of images")
        return self._search(problem)

    def _search(self, problem: Problem) -> Iterator[Trial]:
        size = self.round if self.mode == "deterministic" else None
        dispatcher = Dispatcher(proposing(self.searcher), problem, size)
        dispatcher.prepare()
        if dispatcher.finished:
            return
        found: queue.SimpleQueue[Trial | None] = queue.SimpleQueue()
        desk = _Desk(dispatcher, found)
        with _ray(self.ray, self.workers), tempfile.TemporaryDirectory(prefix="nas-ray-") as folder:
            tuner = self._tuner(problem, desk, self.ray.storage or folder)
            thread = threading.Thread(target=desk.run, args=(tuner,), name="ray-tune", daemon=True)
            thread.start()
            try:
                while (trial := found.get()) is not None:
                    yield trial
            finally:
                desk.closed = True
                thread.join()
        if desk.fault is not None:
            raise desk.fault
        assert dispatcher.finished, "Ray Tune ended before the budget was spent"

    def _tuner(self, problem: Problem, desk: _Desk, folder: str) -> tune.Tuner:
        objective = problem.objectives[0]
        last = self.eta ** (self.rungs - 1)
        scheduler = ASHAScheduler(
            time_attr="seen", metric=objective.metric, mode="max" if objective.maximise else "min", max_t=last,
            grace_period=1, reduction_factor=self.eta,
        )  # fmt: skip
        shares = tuple(self.eta**rung for rung in range(self.rungs)) if self.asha else (last,)
        worker = tune.with_parameters(_Worker, measure=problem.measure, seen=shares, last=last)
        return tune.Tuner(
            tune.with_resources(worker, {"cpu": self.ray.cpus, "gpu": self.ray.gpus}),
            tune_config=tune.TuneConfig(
                num_samples=-1,
                search_alg=desk,
                scheduler=scheduler if self.asha else None,
                max_concurrent_trials=self.workers,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="nas",
                storage_path=folder,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=self.ray.retries),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )


@final
class _Worker(tune.Trainable):
    """Measures one architecture after the other; what it measures with is mapped once."""

    def setup(self, config: dict[str, Any], measure: Any = None, seen: tuple[int, ...] = (1,), last: int = 1) -> None:
        self._measure, self._seen, self._last = measure, seen, last
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """One rung; a fault of the candidate is a result, since measuring it again would not help."""
        started = time.perf_counter()
        seen = self._seen[self._rung]
        self._rung += 1
        try:
            metrics = {name: float(value) for name, value in next(self._stages).items()}
            told: dict[str, Any] = {**metrics, "metrics": json.dumps(metrics)}
        except Exception as fault:
            told = {"fault": f"{type(fault).__name__}: {fault}"}
        self._seconds += time.perf_counter() - started
        done = seen == self._last or "fault" in told
        return {**told, "seen": seen, "share": seen / self._last, "seconds": self._seconds, "done": done}

    def _begin(self, config: dict[str, Any]) -> None:
        architecture = Architecture.from_json(config["architecture"])
        self._rung, self._seconds = 0, 0.0
        self._stages = self._made(architecture)

    def _made(self, architecture: Architecture) -> Iterator[Mapping[str, float]]:
        if len(self._seen) == 1:
            yield self._measure(architecture)
        else:
            yield from self._measure.stages(architecture, tuple(seen / self._last for seen in self._seen))


@final
class _Desk(Searcher):
    """Tune's side of the dispatcher: hands out jobs as trials, and takes back their last results."""

    def __init__(self, dispatcher: Dispatcher, found: queue.SimpleQueue[Trial | None]) -> None:
        super().__init__()
        self._dispatcher, self._found = dispatcher, found
        self._jobs: dict[str, Job] = {}
        self.closed = False
        self.fault: BaseException | None = None

    def run(self, tuner: tune.Tuner) -> None:
        """Runs Tune until no job is left, in a thread of its own."""
        try:
            tuner.fit()
        except BaseException as fault:
            self.fault = self.fault or fault
        finally:
            self._found.put(None)

    def suggest(self, trial_id: str) -> Any:
        """See `Searcher.suggest`."""
        if self.closed or self.fault is not None or self._dispatcher.finished:
            return Searcher.FINISHED
        with self._kept():
            job = self._dispatcher.next()
            if job is not None:
                self._jobs[trial_id] = job
                return {"architecture": str(job.architecture)}
            if self._dispatcher.finished:
                return Searcher.FINISHED
        return None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """See `Searcher.on_trial_complete`. Without a result, the worker died more often than is allowed."""
        job = self._jobs.pop(trial_id)
        if error or result is None:
            outcome = Outcome({}, "the worker died, and so did those that tried again")
        elif "fault" in result:
            outcome = Outcome({}, result["fault"], result["seconds"], share=result["share"])
        else:
            outcome = Outcome.of(json.loads(result["metrics"]), result["seconds"], share=result["share"])
        with self._kept():
            for trial in self._dispatcher.settle(job.number, outcome):
                self._found.put(trial)

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune keeps a pickle of its parts, to continue from. Ours continues from the table of trials."""
        return Searcher, ()

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the table of trials is what a search continues from."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see `save`."""

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """A fault, such as a full disk, ends the search and is raised from it; Tune would print and go on."""
        try:
            yield
        except BaseException as fault:
            self.fault = self.fault or fault


@contextlib.contextmanager
def _ray(cluster: Cluster, workers: int) -> Iterator[None]:
    """Ray, for as long as the search lasts; one that was started by somebody else stays."""
    os.environ.update(ENVIRONMENT)
    mine = not ray.is_initialized()
    if mine:
        _connect(cluster, workers)
    try:
        yield
    finally:
        if mine:
            ray.shutdown()


def _connect(cluster: Cluster, workers: int) -> None:
    """Start Ray here, or join the cluster. Raises `StrategyError` when there is none at the address."""
    if ray.is_initialized():
        return
    if cluster.address.startswith("ray://"):
        raise StrategyError(
            f"ray.address: found '{cluster.address}'; Ray's client would keep the table of trials on another machine; "
            "allowed: local, auto or HOST:PORT; run nas on a machine of the cluster, or by `ray job submit`"
        )
    threads = str(max(1, int(cluster.cpus)))
    local: dict[str, Any] = {"num_cpus": math.ceil(workers * cluster.cpus), "include_dashboard": False}
    try:
        _probe(os.environ.get("RAY_ADDRESS", "auto") if cluster.address == "auto" else cluster.address)
        ray.init(
            address=cluster.address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": threads}},
            **(local if cluster.address == "local" else {}),
        )
    except (OSError, ValueError, RuntimeError) as fault:
        reason = str(fault).partition("\n")[0]
        raise StrategyError(
            f"ray.address: found '{cluster.address}', but no cluster answers there ({reason}); allowed: local, auto on "
            "a machine where `ray start` ran, or HOST:PORT of a cluster"
        ) from fault


def _probe(address: str) -> None:
    """Raise `OSError` or `ValueError` for a HOST:PORT where nobody listens, at once: Ray would try for minutes."""
    if address in ("local", "auto"):
        return
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5):
        pass
