"""Ray's head, watched for as long as a driver works with it.

Without its head, nothing on a cluster goes on. Ray itself waits for it for a minute, in silence, and then ends the
driver from C++, where no exception comes; of a cluster that this driver has started, processes stay behind. So the
driver ends before that: with a sentence, an exit code of its own, and all that it has started. What is recorded is on
the disk at any time, so that nothing needs to be saved.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from nas.system.processes import leave

if TYPE_CHECKING:
    import psutil

CLIENT = "ray://"
"""How the address of a client server begins."""
LOST = 75
"""Exit code of a driver whose head is gone: EX_TEMPFAIL of sysexits.h, to be tried again."""
LOOK = 1.0
"""Seconds between two looks at the head."""
ANSWER = 5.0
"""Seconds until a connection must stand. The system takes it for a busy process, too: only one that has ended, or that
cannot be reached, does not answer.
"""
PATIENCE = 6.0
"""Seconds without an answer, over two looks at least, after which a head is gone."""


def reach(address: str) -> None:
    """Raises `OSError` or `ValueError` where nobody listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=ANSWER):
        pass


@contextlib.contextmanager
def watched(cluster: str) -> Iterator[None]:
    """Until the block ends: when the head of the connected cluster is gone, so is this process, with the code `LOST`.

    `cluster` is the address that it was connected by.
    """
    addresses, started = ([cluster.removeprefix(CLIENT)], []) if cluster.startswith(CLIENT) else _head()
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(cluster, addresses, started, ended), name="nas-head", daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()


def _head() -> tuple[list[str], list[psutil.Process]]:
    """Where the head listens, and the raylet of this machine, without which nothing reaches the head; and the processes
    of both that this one has started: none of a cluster that was joined.
    """
    import psutil  # Ray brings it
    import ray
    from ray._private import worker

    context = ray.get_runtime_context()
    addresses, here = [context.gcs_address], context.get_node_id()
    node: Any = worker._global_node  # nowhere else does Ray say what it has started
    pids = [info.process.pid for infos in node.all_processes.values() for info in infos]
    nodes: Any = ray.nodes  # Ray has not typed it
    addresses += [f"{m['NodeManagerAddress']}:{m['NodeManagerPort']}" for m in nodes() if m["NodeID"] == here]
    return addresses, [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]


def _watch(cluster: str, addresses: Sequence[str], started: Sequence[psutil.Process], ended: threading.Event) -> None:
    family, silent = set(started), None
    while not ended.wait(LOOK):
        look = time.monotonic()
        family |= _below(started)  # and those before: workers of a dead raylet are nobody's children
        if all(map(_answers, addresses)):
            silent = None
            continue
        silent = look if silent is None else silent
        if time.monotonic() - silent >= PATIENCE:
            again = "and starts a new one" if started else "once there is one again"
            leave(
                f"error: ray: the head of the cluster at '{cluster}', or its raylet here, is gone (no answer for "
                f"{PATIENCE:g} s); everything recorded is kept: the same command goes on from there, {again}",
                LOST,
                [process.pid for process in family if process.is_running()],
            )


def _answers(address: str) -> bool:
    try:
        reach(address)
    except OSError:
        return False
    return True


def _below(started: Sequence[psutil.Process]) -> set[psutil.Process]:
    """All that these have started."""
    import psutil

    below: set[psutil.Process] = set()
    for process in started:
        with contextlib.suppress(psutil.Error):
            below.update(process.children(recursive=True))
    return below
