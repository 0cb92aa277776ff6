"""Searches in processes of their own that share one study of Optuna's, for tests; imports no torch."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping
from typing import Any

from nas.searchspaces.architecture import Architecture
from nas.searchspaces.limit import Limit
from nas.strategies.with_optuna.strategy import WithOptuna
from nas.testing.toy import Toy

TRIALS = 12


def in_processes(target: Callable[..., None], url: str) -> list[Any]:
    """What two processes put into a queue: each runs `target(url, run, barrier, queue)`."""
    context = multiprocessing.get_context("spawn")
    barrier, found = context.Barrier(2), context.Queue()
    processes = [context.Process(target=target, args=(url, run, barrier, found)) for run in ("a", "b")]
    for process in processes:
        process.start()
    answers = [found.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    return answers


def share(url: str, run: str, barrier: Any, found: Any) -> None:
    """Both make the storage at the same instant, and begin at the same instant; tells what they heard of the other."""
    toy = Toy()

    def measure(architecture: Architecture) -> Mapping[str, float]:
        time.sleep(0.02)
        return toy.measure(architecture)

    strategy = WithOptuna(sampler="nsga2", population=5, storage=url, study="both")
    search = toy.search(trials=TRIALS, limit=Limit(toy, macs="60%"), measure=measure, run=run)
    barrier.wait(60)
    proposer: Any = strategy.proposer(search)
    barrier.wait(60)
    for number in range(TRIALS):
        proposer.tell(search.evaluate([proposer.ask(number)])[0])
    found.put((run, len(proposer._feasible.trials) - TRIALS, [t.architecture.digest for t in search.history]))
