"""Training on Ray workers, through Ray Train.

Module and images go into Ray's object store once. The checkpoint of each epoch comes back to the driver's disk through
a small actor beside the driver, so that no machine needs to share a disk with another one; it is written when the
driver permits it. A worker that dies costs a retry of all from the last checkpoint; in the end, the driver loads the
last one, as it does with any finished training.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import ray
import ray.train.torch
import torch
from ray import train
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from torch import distributed

from nas.errors import MemoryShortageError, NasError, TrainingError
from nas.system.cluster import Cluster, connected
from nas.training import checkpoint
from nas.training.bar import Bar
from nas.training.fit import Runtime, fit
from nas.training.fit_call import FitCall
from nas.training.history import Epoch, History
from nas.training.parallel.assignment import Assignment
from nas.training.ranks import LostRankError, Ranks

PATIENCE = 365 * 24 * 3600
"""Seconds that ranks wait for each other, the first of which evaluates between epochs: Ray sees who dies."""
ENVIRONMENT = {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600"}
"""A minute is not always enough for a worker to import torch."""
GLANCE = 0.2
"""Seconds between two looks at how the training goes, unless there is a checkpoint."""


@final
@dataclass(frozen=True)
class OnRay:
    """`fit`, on several workers of a Ray cluster; it is called like `fit`, and waits until the cluster has room.

    Step, `runtime.refresh` and `runtime.evaluate` must be picklable.
    """

    workers: int
    cluster: Cluster

    def __call__(self, call: FitCall, runtime: Runtime) -> History:
        """See `fit`. Raises `ClusterError` when no cluster answers, `TrainingError` when workers keep dying."""
        with tempfile.TemporaryDirectory(prefix="nas-ray-") as folder:
            path = runtime.checkpoint or Path(folder) / "training.safetensors"
            if checkpoint.epochs_done(path) < call.recipe.epochs:
                assignment = Assignment.of(call, runtime, self.cluster.threads)
                with connected(self.cluster, self.workers):
                    self._train(assignment, path, runtime, folder)
            # Here, too: it finds a finished training, and loads it.
            return fit(call, replace(runtime, checkpoint=path))

    def _train(self, assignment: Assignment, path: Path, runtime: Runtime, folder: str) -> None:
        """Until the checkpoint at `path` is that of the last epoch."""
        os.environ.update(ENVIRONMENT)
        # The keeper writes to this machine's disk, so it must run here; it waits for the workers and needs no CPU.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options: dict[str, Any] = {"num_cpus": 0, "scheduling_strategy": here, "max_concurrency": _Keeper.THREADS}
        keeper: Any = ray.remote(_Keeper).options(**options).remote(path)
        trainer = self._trainer({"assignment": [ray.put(assignment.packed())], "keeper": keeper}, folder)
        run = _Background(trainer)
        title, done = f"{runtime.title} ({self.workers} workers)", checkpoint.epochs_done(path)
        shown = 0  # epochs of this training that the bar has seen
        try:
            with Bar(title, assignment.call.recipe.epochs, done, runtime.progress) as bar:
                # After the workers' end, the last epochs may still wait at the keeper.
                while run.going() or shown < ray.get(keeper.epochs.remote()):
                    if ray.get(keeper.offered.remote(GLANCE)):
                        runtime.allow()
                        ray.get(keeper.permit.remote())
                    for row in ray.get(keeper.rows.remote(shown)):
                        shown += 1
                        bar.advance(1.0, row.loss)
                        bar.finish(row.metrics)
                        if runtime.on_epoch:
                            runtime.on_epoch(row)
            fault = ray.get(keeper.fault.remote())
        finally:
            ray.kill(keeper)
        if fault is not None:
            raise fault
        if run.fault is not None:
            raise TrainingError(
                f"{runtime.title}: Ray gave the training up, after {self.cluster.retries} retries (ray.retries): "
                f"{_reason(run.fault)}; run again: it goes on from epoch {checkpoint.epochs_done(path) + 1}"
            ) from run.fault

    def _trainer(self, config: dict[str, Any], folder: str) -> ray.train.torch.TorchTrainer:
        gpus = self.cluster.gpus
        backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
        resources = {"CPU": self.cluster.cpus, **({"GPU": gpus} if gpus else {})}
        return ray.train.torch.TorchTrainer(
            _work,
            train_loop_config=config,
            torch_config=ray.train.torch.TorchConfig(backend=backend, timeout_s=PATIENCE),
            scaling_config=train.ScalingConfig(
                num_workers=self.workers, use_gpu=gpus > 0, resources_per_worker=resources
            ),
            run_config=train.RunConfig(
                name="nas", storage_path=folder, failure_config=train.FailureConfig(max_failures=self.cluster.retries)
            ),
        )


@final
class _Background:
    """Ray Train in a thread of its own, so that this one can show how it goes."""

    def __init__(self, trainer: ray.train.torch.TorchTrainer) -> None:
        self.fault: BaseException | None = None
        self._trainer = trainer
        self._thread = threading.Thread(target=self._run, name="ray-train", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._trainer.fit()
        except BaseException as fault:  # of any kind: a thread has nobody to raise it to
            self.fault = fault

    def going(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()


@final
class _Keeper:
    """Keeps the checkpoint on the driver's disk, and what the first rank has to say. An actor on the driver's machine.

    The driver may lose its run to another one at any time, and then nothing may be written. So a `write` waits until
    the driver, who asks what is `offered`, gives its `permit`.

    Faults are values here: an exception that crosses Ray comes with the traceback in its text.
    """

    THREADS = 4
    """Methods of the actor that run at the same time: a `write` and a `read` that wait, what the driver asks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[Epoch] = []
        self._fault: NasError | None = None
        self._changed = threading.Condition()
        self._offered = self._permitted = False

    def read(self) -> bytes | None:
        """The checkpoint, if there is one; not before one that a dead worker has offered is written."""
        with self._changed:
            self._changed.wait_for(lambda: not self._offered)
            return self._path.read_bytes() if self._path.exists() else None

    def write(self, content: bytes, row: Epoch) -> NasError | None:
        """Replaces the checkpoint by that of the epoch `row`, when the driver permits it."""
        with self._changed:
            self._offered = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._permitted)
            self._offered = self._permitted = False
            self._changed.notify_all()
            try:
                checkpoint.keep(self._path, content, row.epoch)
            except NasError as fault:
                return fault
            self._rows.append(row)
            return None

    def offered(self, seconds: float) -> bool:
        """Whether a checkpoint is to be written; waits for one for so long."""
        with self._changed:
            return self._changed.wait_for(lambda: self._offered, seconds)

    def permit(self) -> None:
        """What is offered may be written; returns when it is."""
        with self._changed:
            self._permitted = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._offered)

    def fail(self, fault: NasError, elsewhere: Path) -> None:
        """Trying again would not help. What the first rank knows as the file `elsewhere` has another name here."""
        self._fault = type(fault)(str(fault).replace(str(elsewhere), str(self._path)))

    def epochs(self) -> int:
        """How many checkpoints came."""
        return len(self._rows)

    def rows(self, after: int) -> list[Epoch]:
        """Their epochs, but for the first `after`."""
        return self._rows[after:]

    def fault(self) -> NasError | None:
        """Why the training must end, if it must."""
        return self._fault


def _work(config: Mapping[str, Any]) -> None:
    """What each worker does: its rank's part of the training, from the last checkpoint on."""
    keeper, ranks = config["keeper"], Ranks.joined()
    assignment = Assignment.unpacked(ray.get(config["assignment"][0]))
    torch.set_num_threads(assignment.threads)
    runtime = Runtime(device=ray.train.torch.get_device(), ranks=ranks)
    with tempfile.TemporaryDirectory(prefix="nas-rank-") as folder:
        path = Path(folder) / "training.safetensors"
        if ranks.rank == 0:
            runtime = _first(runtime, assignment, path, keeper)
        try:
            assignment.fit(runtime)
        except LostRankError:
            if ray.get(keeper.fault.remote()) is None:
                raise  # a worker died: Ray starts all of them again
        except NasError as fault:
            # The others raise the same, or are sent home; but memory may be short on one machine alone.
            if ranks.rank == 0 or isinstance(fault, MemoryShortageError):
                ray.get(keeper.fail.remote(fault, path))
                distributed.destroy_process_group()


def _first(runtime: Runtime, assignment: Assignment, path: Path, keeper: Any) -> Runtime:
    """The runtime of the first rank, which starts from the driver's checkpoint, evaluates, and sends each new one."""
    content = ray.get(keeper.read.remote())
    if content is not None:
        path.write_bytes(content)

    def send(row: Epoch) -> None:
        fault = ray.get(keeper.write.remote(path.read_bytes(), row))
        if fault is not None:
            raise fault

    return replace(runtime, checkpoint=path, evaluate=assignment.evaluate, on_epoch=send)


def _reason(fault: BaseException) -> str:
    """The cause in one line: of the ranks that failed, not one that failed because it lost another."""
    failures: Mapping[int, BaseException] = getattr(fault, "worker_failures", {0: fault})
    causes = [getattr(failure, "_base_exc", failure) for failure in failures.values()]
    cause = next((cause for cause in causes if not isinstance(cause, LostRankError)), fault)
    return f"{type(cause).__name__}: {str(cause).strip().partition(chr(10))[0][:200]}"
