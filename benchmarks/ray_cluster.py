"""A simulated cluster of two nodes on this machine, one worker each: the same search twice, the second time with one
node killed half-way, and nothing in its place. It must find the same.

Measuring takes a toy `SECONDS`, so that the node dies at work. Ray is started before the clock.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster as Machines

from nas.search import Trial, winner
from nas.searchspaces import Limit
from nas.strategies.with_raytune.strategy import WithRaytune
from nas.system.cluster import Cluster
from nas.testing.toy import ACCURACY, Toy, ToyMeasure

TRIALS = 60
SECONDS = 0.2


def measure() -> Iterator[dict[str, object]]:
    rows = {}
    with machines() as (address, kill):
        for words, half in (("undisturbed", lambda _: None), ("1 killed half-way", kill)):
            rows[words] = search(address, TRIALS, SECONDS, half)
            for name, value in rows[words].items():
                if name != "winner":
                    what = f"search of {TRIALS} trials on 2 nodes, {words}: {name}"
                    yield {"what": what, "unit": "s" if name == "seconds" else "", "value": value}
    undisturbed, disturbed = (row["winner"] for row in rows.values())
    yield {"what": "the same winner with a node killed as without", "unit": "", "value": int(undisturbed == disturbed)}


@contextlib.contextmanager
def machines() -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Two nodes; their address, and what kills one of them with all that runs there."""
    cluster = Machines(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        other = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield cluster.address, lambda calls: _kill(cluster, other, calls)
    finally:
        cluster.shutdown()


def _kill(cluster: Machines, node: Any, calls: Path) -> None:
    """As when a machine at work loses power: its workers at once, not when they miss their node."""
    (raylet,) = (found.process.pid for found in node.all_processes["raylet"])
    before = len(calls.read_text().splitlines())
    while not (new := calls.read_text().splitlines()[before:]) or new[-1].split()[1] not in _children(raylet):
        time.sleep(0.01)
    for worker in _children(raylet):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(worker), signal.SIGKILL)
    cluster.remove_node(node, allow_graceful=False)


def _children(process: int) -> list[str]:
    threads = Path(f"/proc/{process}/task").iterdir()
    return " ".join((thread / "children").read_text() for thread in threads).split()


def search(address: str, trials: int, pause: float, half: Callable[[Path], None]) -> dict[str, object]:
    """What came of a search in rounds, in which `half` happens half-way. A retry is a measurement that was lost."""
    toy = Toy()

    def record(trial: Trial) -> None:
        recorded.append(trial)
        if len(recorded) == trials // 2:
            threading.Thread(target=half, args=(calls,)).start()

    recorded: list[Trial] = []
    with tempfile.TemporaryDirectory() as folder:
        calls = Path(folder) / "calls"
        on_toy = ToyMeasure(toy, seconds=pause, calls=str(calls))
        search = toy.search(trials=trials, limit=Limit(toy, macs="60%"), measure=on_toy)
        search.record = record
        strategy = WithRaytune(trials=trials, workers=2, ray=Cluster(address=address))
        started = time.perf_counter()
        found = list(strategy.search(search))
        taken = time.perf_counter() - started
        measured = [line.split()[0] for line in calls.read_text().splitlines()]
    return {
        "done": sum(trial.state == "done" for trial in found),
        "failed": sum(trial.state == "failed" for trial in found),
        "retried": len(measured) - len(set(measured)),
        "seconds": round(taken, 1),
        "winner": winner(found, (ACCURACY,)).architecture.digest,
    }
