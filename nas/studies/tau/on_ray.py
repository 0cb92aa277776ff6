"""Ray tasks: the same work for several architectures at once, on workers of this machine or of a cluster.

What they work with goes into Ray's object store once, and is mapped by all workers. A worker that dies costs a retry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from nas.errors import NasError, RunError
from nas.searchspaces import Architecture
from nas.system.cluster import Cluster
from nas.system.packing import Packed, pack, unpack

T = TypeVar("T")


def on_ray(
    work: Callable[[Architecture], T], architectures: Sequence[Architecture], cluster: Cluster, workers: int
) -> Iterator[T]:
    """What `work` returns for each architecture, in the order in which they come back; at most `workers` at a time.

    Ray must be there (`nas.system.cluster`). What `work` raises is raised here; `RunError` when a worker dies, and
    so do those that try again.
    """
    packed = ray.put(pack(work))
    task = ray.remote(_done).options(num_cpus=cluster.cpus, num_gpus=cluster.gpus, max_retries=cluster.retries)
    waiting = list(reversed(architectures))
    running: dict[ray.ObjectRef[object], Architecture] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                architecture = waiting.pop()
                running[task.remote(packed, architecture, max(1, int(cluster.cpus)))] = architecture
            (done,), _ = ray.wait(list(running), num_returns=1)
            yield cast("T", _result(done, running.pop(done)))
    finally:
        for unfinished in running:
            ray.cancel(unfinished, force=True)


def _done(packed: Packed, architecture: Architecture, threads: int) -> object:
    """Runs in a worker."""
    torch.set_num_threads(threads)
    work: Callable[[Architecture], object] = unpack(packed)
    return work(architecture)


def _result(done: ray.ObjectRef[object], architecture: Architecture) -> object:
    try:
        return ray.get(done)
    except RayTaskError as fault:
        raise (fault.cause if isinstance(fault.cause, NasError) else fault) from None
    except RayError as fault:
        reason = str(fault).partition("\n")[0]
        raise RunError(
            f"architecture {architecture.digest}: the worker died, and so did those that tried again ({reason}); what "
            "is finished is kept: give the workers more memory, or take fewer, and run the same command again"
        ) from fault
