"""Ray: where workers are, what each of them gets, and a connection to them for as long as it is needed.

It serves searches and training alike. Ray is an extra, and imported when a connection is asked for: a study names its
cluster, and needs no Ray for that.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, final

from pydantic import AfterValidator, Field

from nas.errors import ClusterError, ClusterLostError
from nas.numbers import Unit, above, number, whole
from nas.system.head import CLIENT, reach, watched

ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
ON_HEAD: dict[str, Any] = {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}
"""Options of an actor that stays on the machine whose loss ends the cluster anyway."""


LONGEST = 40
"""Bytes of a folder for Ray's files: it adds some sixty to them, and a socket's path has 107 at most."""
SHORT = "/tmp"
"""A folder for temporary files that is not too long, where the usual one is."""


def _sharable(gpus: float) -> float:
    if gpus > 1 and gpus != int(gpus):
        raise ValueError("a part of a GPU, or a whole number of them")
    return gpus


@final
@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where the workers are, and what each gets.

    address   local (this machine, set up and taken down by the search), auto (the cluster that this machine is part
              of), the cluster's HOST:PORT, or ray://HOST:PORT for a machine that is not part of it (Ray Client)
    cpus      processor cores of a worker, and its threads
    gpus      GPUs of a worker; 0.25 puts four on one
    retries   how often work is done again when its worker dies
    storage   folder for Ray's own files that all machines see; only clusters of several machines may ask for one
    """

    address: Annotated[str, Field(min_length=1)] = "local"
    cpus: Annotated[float, above(0, 4096), Unit("cores")] = 1
    gpus: Annotated[float, number(0, 4096), Unit("GPUs"), AfterValidator(_sharable)] = 0
    retries: Annotated[int, whole(0, 1000), Unit("times")] = 2
    storage: str | None = None

    @property
    def threads(self) -> int:
        """Threads of a worker."""
        return max(1, int(self.cpus))

    def check(self, workers: int) -> None:
        """Raise `ClusterError` where `connected` would, without starting more than is needed to know; and where Ray is
        not installed.
        """
        if find_spec("ray") is None:
            raise ClusterError("the package 'ray' is not installed: pip install 'nas[ray]'")
        if self.address != "local" or self.gpus:
            with connected(self, workers):
                pass


@contextlib.contextmanager
def connected(cluster: Cluster, workers: int) -> Iterator[None]:
    """Ray until the block ends: started for so many workers, or joined; what runs in this process already is used, and
    stays.

    Raises `ClusterError` when no cluster answers, or when it has no room for a worker. Within the block, the loss of
    the cluster's head ends this process: see `nas.system.head`. What Ray raises in the block when it has lost something
    else becomes a `ClusterLostError`.
    """
    import ray

    if ray.is_initialized():
        require_room(cluster)
        with _standing(cluster):
            yield
        return
    with _folder(cluster) as folder:
        _connect(cluster, workers, folder)
        try:
            require_room(cluster)
            with watched(cluster.address), _standing(cluster):
                yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _standing(cluster: Cluster) -> Iterator[None]:
    """The loss of an actor, an object or a machine, as ours; what work raises in a worker stays what it is."""
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except RayTaskError:
        raise
    except RayError as fault:
        raise ClusterLostError(
            f"ray: a process of the cluster at '{cluster.address}' that this one works with is gone "
            f"({type(fault).__name__}); everything recorded is kept: the same command goes on from there"
        ) from fault


def room(cluster: Cluster) -> int:
    """How many workers the machines of the connected cluster hold, were they idle."""
    needs = {"CPU": cluster.cpus, "GPU": cluster.gpus}
    return sum(min(_times(found.get(n, 0), needs[n]) for n in needs if needs[n]) for found in _machines())


def require_room(cluster: Cluster) -> None:
    """Raise `ClusterError` when no machine of the connected cluster can hold a worker, which would wait for ever."""
    if room(cluster) == 0:
        found = "; ".join(f"{m.get('CPU', 0):g} CPUs and {m.get('GPU', 0):g} GPUs" for m in _machines())
        raise ClusterError(
            f"ray: found {cluster.cpus:g} CPUs and {cluster.gpus:g} GPUs per worker; allowed: what one machine of the "
            f"cluster at '{cluster.address}' has ({found or 'no machine is left'})"
        )


def _machines() -> list[dict[str, float]]:
    import ray

    nodes: Any = ray.nodes  # Ray has not typed it
    return [node["Resources"] for node in nodes() if node["Alive"]]


def _times(have: float, need: float) -> int:
    """How often `need` fits; a part of a GPU must lie on one of them."""
    return int(have) * int(1 / need + 1e-9) if need < 1 else int(have / need + 1e-9)


def _connect(cluster: Cluster, workers: int, folder: str | None) -> None:
    import ray

    os.environ.update(ENVIRONMENT)
    options: dict[str, Any] = {}
    if cluster.address == "local":
        options = {
            "num_cpus": math.ceil(workers * cluster.cpus), "include_dashboard": False, "_temp_dir": folder,
        }  # fmt: skip
    try:
        _probe(os.environ.get("RAY_ADDRESS", "auto") if cluster.address == "auto" else cluster.address)
        before = signal.getsignal(signal.SIGTERM)
        with _here_only(cluster), tempfile.TemporaryDirectory(prefix="nas-") as empty:
            ray.init(
                address=cluster.address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **_workers(cluster, empty),
                **options,
            )
        with contextlib.suppress(ValueError):  # only the main thread may
            signal.signal(signal.SIGTERM, before)  # Ray's core takes it for itself, and aborts
    except (OSError, ValueError, RuntimeError) as fault:
        raise ClusterError(
            f"ray.address: found '{cluster.address}', but no cluster answers there ({_reason(fault)}); allowed: local, "
            "auto on a machine where `ray start` ran, HOST:PORT of a cluster, or ray://HOST:PORT of its client server. "
            "One that wants a token: set RAY_AUTH_MODE=token, and have its ~/.ray/auth_token or RAY_AUTH_TOKEN"
        ) from fault


def _workers(cluster: Cluster, empty: str) -> dict[str, Any]:
    """Options of Ray: what workers run with, and where they import from.

    `empty` is a folder: without one to work in, workers look for modules in the current one, which may hold anything.
    Those of Ray Client do not: they are elsewhere.
    """
    from ray.job_config import JobConfig

    variables = {"OMP_NUM_THREADS": str(cluster.threads)}
    if cluster.address.startswith(CLIENT):
        return {"runtime_env": {"env_vars": variables}}
    if cluster.address == "local":
        # Workers import from where this process does. An empty entry is the current folder of an interactive session.
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    # A user's own modules lie beside the program. Ray looks there by itself only where no folder to work in is named.
    program = str(Path(sys.argv[0]).resolve().parent)
    return {
        "runtime_env": {"env_vars": variables, "working_dir": empty},
        "job_config": JobConfig(_py_driver_sys_path=[program] if program in sys.path else []),
    }


@contextlib.contextmanager
def _here_only(cluster: Cluster) -> Iterator[None]:
    """While a cluster starts that is this machine's alone: Ray's processes listen at 127.0.0.1 only.

    Ray replaces that address by one that others can reach, except where it takes a system to have no clusters at all.
    """
    if cluster.address != "local":
        yield
        return
    from ray._private import ray_constants

    variable = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
    before, able = os.environ.get(variable), ray_constants.ENABLE_RAY_CLUSTER
    os.environ[variable], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = able
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


@contextlib.contextmanager
def _folder(cluster: Cluster) -> Iterator[str | None]:
    """Where Ray puts its sockets: None for where it does by itself, unless their paths would be too long there.

    Raises `ClusterError` where there is no place for them.
    """
    usual = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    if cluster.address != "local" or len(os.fsencode(usual)) <= LONGEST:
        yield None
        return
    try:
        short = tempfile.TemporaryDirectory(prefix="nas-ray-", dir=SHORT, ignore_cleanup_errors=True)
    except OSError as fault:
        raise ClusterError(
            f"ray: found {usual} as the folder for temporary files; allowed: one of at most {LONGEST} bytes, since "
            f"Ray's sockets lie in it; set RAY_TMPDIR ({SHORT}: {fault.strerror})"
        ) from fault
    with short as folder:
        yield folder


def _probe(address: str) -> None:
    """Raise `OSError` or `ValueError` for a HOST:PORT where nobody listens, at once: Ray would try for minutes."""
    if address in ("local", "auto"):
        return
    if address.startswith(CLIENT) and find_spec("grpc") is None:
        raise ClusterError(f"ray.address: '{address}' needs the package 'grpcio', which is not installed: pip install "
                           "'nas[ray]'")  # fmt: skip
    reach(address.removeprefix(CLIENT))


def _reason(fault: Exception) -> str:
    """One line: the first, or the last of those that begin with a heading for a traceback."""
    first, *more = str(fault).strip().splitlines() or [type(fault).__name__]
    return more[-1] if more and first.endswith(":") else first
