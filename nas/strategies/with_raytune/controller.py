"""Ray Tune's side of a search: an actor on the cluster's head that runs Tune, and asks the driver what to measure.

The table of trials thus stays on the driver's machine, wherever Tune runs, and all addresses share one code. A Tune
trial carries an architecture. Workers are class trainables that are kept from trial to trial, since each function
trainable would get a new process.
"""

from __future__ import annotations

import json
import os
import queue
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher
from typing_extensions import override

from nas.search.dispatch import Job
from nas.search.problem import Objective
from nas.search.trial import Outcome
from nas.searchspaces.architecture import Architecture
from nas.system.cluster import Cluster

ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # results are recorded by us
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a failure has no metrics
    "RAY_AIR_NEW_OUTPUT": "0",  # the other one prints whatever the verbosity
}
FINISHED = Searcher.FINISHED


@final
@dataclass(frozen=True)
class Plan:
    """How Tune runs: with several rungs it races, and each rung sees `eta` times the images of the one before."""

    cluster: Cluster
    workers: int
    objective: Objective
    rungs: int
    eta: int

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the images, per rung."""
        return tuple(self.eta ** (rung + 1 - self.rungs) for rung in range(self.rungs))


@final
@dataclass(frozen=True)
class Wanted:
    """Tune asks for a job. The answer is one, or None while there is none, or `FINISHED`."""


@final
@dataclass(frozen=True)
class Measured:
    """The outcome of job `number`, None when its worker died. No answer."""

    number: int
    outcome: Outcome | None


@final
@dataclass(frozen=True)
class Ended:
    """Tune has ended, as it should or by a fault that `Controller.run` raises. No answer."""


Request = Wanted | Measured | Ended


@final
class Controller:
    """The actor. `run` lasts as long as the search; meanwhile the driver takes each `request`, and gives its `answer`.

    Tune calls `_Courier.suggest` in the thread of `run`, and waits there until the driver has answered. Two queues
    carry that: one from Tune to the driver, one back.

    `measure` is a reference to the function that measures, in a list, so that it is not fetched here.
    """

    THREADS = 4
    """Methods of the actor that run at the same time: `run`, a `request` that waits, an `answer` and `stop`."""

    def __init__(self, plan: Plan, measure: list[ray.ObjectRef[Any]]) -> None:
        self._plan, self._measure = plan, measure
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Job | str | None] = queue.SimpleQueue()
        self._stopped = threading.Event()

    def run(self) -> None:
        """Runs Tune until there is nothing left to measure."""
        os.environ.update(ENVIRONMENT)
        try:
            with tempfile.TemporaryDirectory(prefix="nas-ray-") as folder:
                self._tuner(self._plan.cluster.storage or folder).fit()
        finally:
            self._requests.put(Ended())

    def request(self) -> Request:
        """What Tune wants next; waits for it."""
        return self._requests.get()

    def answer(self, answer: Job | str | None) -> None:
        """The answer to a `Wanted`."""
        self._answers.put(answer)

    def stop(self) -> None:
        """No more jobs: `run` ends when those under way are done."""
        self._stopped.set()
        self._answers.put(FINISHED)  # Tune may be waiting for an answer that the driver does not give any more

    def _tuner(self, folder: str) -> tune.Tuner:
        plan = self._plan
        worker = tune.with_parameters(_Worker, measure=self._measure, shares=plan.shares)
        return tune.Tuner(
            tune.with_resources(worker, {"cpu": plan.cluster.cpus, "gpu": plan.cluster.gpus}),
            tune_config=tune.TuneConfig(
                num_samples=-1,
                search_alg=_Courier(self._requests, self._answers, self._stopped),
                scheduler=_racing(plan) if plan.rungs > 1 else None,
                max_concurrent_trials=plan.workers,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="nas",
                storage_path=folder,
                verbose=0,
                # Tune tries again on the same worker, all times within a second, while its machine is going down.
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )


def _racing(plan: Plan) -> ASHAScheduler:
    mode = "max" if plan.objective.maximise else "min"
    return ASHAScheduler(
        time_attr="seen", metric=plan.objective.metric, mode=mode, max_t=plan.eta ** (plan.rungs - 1), grace_period=1,
        reduction_factor=plan.eta,
    )  # fmt: skip


@final
class _Courier(Searcher):
    """Carries jobs from the driver to Tune, and outcomes back."""

    def __init__(
        self,
        requests: queue.SimpleQueue[Request],
        answers: queue.SimpleQueue[Job | str | None],
        stopped: threading.Event,
    ) -> None:
        super().__init__()
        self._requests, self._answers, self._stopped = requests, answers, stopped
        self._numbers: dict[str, int] = {}

    @override
    def suggest(self, trial_id: str) -> Any:
        if self._stopped.is_set():
            return FINISHED
        self._requests.put(Wanted())
        answer = self._answers.get()
        if not isinstance(answer, Job):
            return answer
        self._numbers[trial_id] = answer.number
        return {"architecture": str(answer.architecture)}

    @override
    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        outcome: Outcome | None
        if error or result is None:
            outcome = None
        elif "fault" in result:
            outcome = Outcome({}, result["fault"], result["seconds"], share=result["share"])
        else:
            outcome = Outcome.of(json.loads(result["metrics"]), result["seconds"], share=result["share"])
        self._requests.put(Measured(self._numbers.pop(trial_id), outcome))

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune keeps a pickle of its parts, to continue from. Ours continues from the table of trials."""
        return Searcher, ()

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the table of trials is what a search continues from."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see `save`."""


@final
class _Worker(tune.Trainable):
    """Measures one architecture after the other; what it measures with is mapped once."""

    def setup(self, config: dict[str, Any], measure: Any = None, shares: tuple[float, ...] = (1.0,)) -> None:
        self._measure, self._shares = ray.get(measure[0]), shares
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """One rung; a fault of the candidate is a result, since measuring it again would not help."""
        started = time.perf_counter()
        share = self._shares[self._rung]
        self._rung += 1
        try:
            metrics = {name: float(value) for name, value in next(self._stages).items()}
            # By name for Tune's scheduler, which races by one of them; as JSON for `_Courier`, since Tune adds its own.
            result: dict[str, Any] = {**metrics, "metrics": json.dumps(metrics)}
        except Exception as fault:
            result = {"fault": f"{type(fault).__name__}: {fault}"}
        self._seconds += time.perf_counter() - started
        done = self._rung == len(self._shares) or "fault" in result
        # ASHA counts in whole numbers: the first rung is 1, the next `eta`, and so on.
        seen = round(share / self._shares[0])
        return {**result, "seen": seen, "share": share, "seconds": self._seconds, "done": done}

    def _begin(self, config: dict[str, Any]) -> None:
        architecture = Architecture.from_json(config["architecture"])
        self._rung, self._seconds = 0, 0.0
        self._stages = self._measured(architecture)

    def _measured(self, architecture: Architecture) -> Iterator[Mapping[str, float]]:
        """Metrics, rung by rung."""
        if len(self._shares) == 1:
            yield self._measure(architecture)
        else:
            yield from self._measure.stages(architecture, self._shares)
