"""Ray clusters: where one is, what each worker gets there, and the connection to it.

Ray is imported when a connection is asked for: without workers, nothing needs it.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, final

from pydantic import Field

from nas.errors import ClusterError

ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@final
@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where workers are, and what each gets.

    address   local (this machine, set up and taken down as needed), auto (the cluster that this machine is part of), or
              the cluster's HOST:PORT
    cpus      processor cores of a worker, and its threads
    gpus      GPUs of a worker
    retries   how often work is taken up again after a worker died
    """

    address: Annotated[str, Field(min_length=1)] = "local"
    cpus: Annotated[float, Field(gt=0)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0
    retries: Annotated[int, Field(ge=0)] = 2

    @property
    def threads(self) -> int:
        """Threads of a worker."""
        return max(1, int(self.cpus))


@contextmanager
def connected(cluster: Cluster, workers: int) -> Iterator[None]:
    """Ray, for as long as the block lasts; one that was there before stays."""
    import ray

    mine = not ray.is_initialized()
    connect(cluster, workers)
    try:
        yield
    finally:
        if mine:
            ray.shutdown()


def check(cluster: Cluster, workers: int) -> None:
    """Raises `ClusterError` when Ray is not installed, or when no cluster answers at the address."""
    if importlib.util.find_spec("ray") is None:
        raise ClusterError("the package 'ray' is not installed: pip install 'nas[ray]'")
    if cluster.address != "local":
        connect(cluster, workers)


def connect(cluster: Cluster, workers: int) -> None:
    """Starts Ray here, with room for `workers`, or joins the cluster. Raises `ClusterError` when there is none."""
    import ray

    if ray.is_initialized():
        return
    if cluster.address.startswith("ray://"):
        raise ClusterError(
            f"ray.address: found '{cluster.address}'; Ray's client would keep the run on another machine; "
            "allowed: local, auto or HOST:PORT; run nas on a machine of the cluster, or by `ray job submit`"
        )
    os.environ.update(ENVIRONMENT)
    local: dict[str, Any] = {"num_cpus": math.ceil(workers * cluster.cpus), "include_dashboard": False}
    try:
        _probe(os.environ.get("RAY_ADDRESS", "auto") if cluster.address == "auto" else cluster.address)
        ray.init(
            address=cluster.address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": str(cluster.threads)}},
            **(local if cluster.address == "local" else {}),
        )
    except (OSError, ValueError, RuntimeError) as fault:
        reason = str(fault).partition("\n")[0]
        raise ClusterError(
            f"ray.address: found '{cluster.address}', but no cluster answers there ({reason}); allowed: local, auto on "
            "a machine where `ray start` ran, or HOST:PORT of a cluster"
        ) from fault


def _probe(address: str) -> None:
    """Raises `OSError` or `ValueError` for a HOST:PORT where nobody listens, at once: Ray would try for minutes."""
    if address in ("local", "auto"):
        return
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5):
        pass
