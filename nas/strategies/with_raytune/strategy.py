"""Ray Tune: another strategy proposes, and workers on this machine or on a cluster measure, several at a time.

What they measure with (the trained supernet, the validation images) goes into Ray's object store once, and is mapped by
all workers; a trial carries an architecture. Our table of trials is the truth: every outcome is recorded when it comes
back, and after a kill a new Tune run measures what is missing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, final

import ray
from ray.exceptions import RayActorError
from typing_extensions import override

from nas.documents.conditions import Is, ReadWith
from nas.documents.markers import OnCluster
from nas.errors import ClusterError, StrategyError
from nas.numbers import Trials, Unit, Workers, whole
from nas.search.dispatch import Dispatcher
from nas.search.problem import Problem
from nas.search.search import Search, Staged
from nas.search.searcher import SearcherOptions, proposing
from nas.search.strategy import Strategy
from nas.search.trial import Outcome, Trial
from nas.strategies.with_raytune.controller import FINISHED, Controller, Ended, Measured, Plan, Request
from nas.system.cluster import ON_HEAD, Cluster, connected, require_room

PATIENCE = 30.0
"""Seconds between two looks at whether the cluster still has room for a worker."""

GRACE = 5.0
"""Seconds for workers to finish what they measure when a search is given up."""

RACING = ReadWith(Is("asha", True))


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
    rungs      how often: with 3 rungs and eta 3, the shares are 1/9, 1/3 and all, in an order drawn from the seed
    eta        see above
    ray        see `Cluster`
    """

    searcher: SearcherOptions = "evolution"
    workers: Workers = 2
    mode: Literal["deterministic", "free"] = "deterministic"
    round: Annotated[Trials, ReadWith(Is("mode", "deterministic"))] = 10
    asha: bool = False
    rungs: Annotated[int, whole(2, 20), Unit("shares"), RACING] = 3
    eta: Annotated[int, whole(2, 1000), RACING] = 3
    ray: Annotated[Cluster, OnCluster()] = field(default_factory=Cluster)

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    """Its suite starts Ray once for all tests, see tests/strategies/test_with_raytune.py."""

    @property
    @override
    def by_shares(self) -> bool:
        return self.asha

    @property
    @override
    def takes_prior(self) -> bool:
        return proposing(self.searcher).takes_prior

    def check(self, problem: Problem) -> None:
        """Raise `StrategyError` for options that exclude each other or a problem that the searcher cannot search, and
        `ClusterError` for a cluster that does not answer, or has no room.
        """
        self._check_options(problem)
        self.ray.check(self.workers)

    @override
    def search(self, search: Search) -> Iterator[Trial]:
        problem = search.problem
        self._check_options(problem)
        if self.asha and not isinstance(search.measure, Staged):
            raise StrategyError(f"{problem.strategy}: found asha, but what measures here knows no shares of images")
        return self._search(search)

    def _check_options(self, problem: Problem) -> None:
        if self.asha and self.mode == "deterministic":
            raise StrategyError(
                f"{problem.strategy}: found asha with mode: deterministic; who goes on depends on who came first, so "
                "allowed: mode: free, or asha: false"
            )
        if self.asha and len(problem.objectives) > 1:
            raise StrategyError(f"{problem.strategy}: found asha with {len(problem.objectives)} objectives; allowed: 1")
        proposing(self.searcher).check(problem)

    def _search(self, search: Search) -> Iterator[Trial]:
        size = self.round if self.mode == "deterministic" else None
        dispatcher = Dispatcher(proposing(self.searcher), search, size)
        known = len(search.history)
        dispatcher.prepare()
        yield from search.history[known:]
        if dispatcher.finished:
            return
        objective, rungs = search.problem.objectives[0], self.rungs if self.asha else 1
        plan = Plan(self.ray, self.workers, objective, rungs, self.eta)
        for _ in range(1 + self.ray.retries):
            with connected(self.ray, self.workers):
                try:
                    yield from _serve(search, dispatcher, plan)
                    assert dispatcher.finished, "Ray Tune ended before the budget was spent"
                    return
                except RayActorError as fault:
                    dispatcher.take_back()
                    *_, reason = str(fault).strip().splitlines()
        raise ClusterError(f"ray: found that Tune died, however often it was started: {reason.strip()}")


def _serve(search: Search, dispatcher: Dispatcher, plan: Plan) -> Iterator[Trial]:
    """Trials of one run of Tune, recorded here as they come. Raises `RayActorError` when Tune's process dies."""
    remote: Any = ray.remote(Controller)
    controller = remote.options(max_concurrency=Controller.THREADS, **ON_HEAD).remote(plan, [ray.put(search.measure)])
    running = controller.run.remote()
    lost: Counter[int] = Counter()
    try:
        for request in _requests(controller, plan.cluster):
            known = len(search.history)
            if isinstance(request, Measured):
                _settle(dispatcher, request, lost, plan.cluster.retries)
            else:
                job = dispatcher.next()
                controller.answer.remote(FINISHED if dispatcher.finished else job)
            yield from search.history[known:]  # proposals that repeat what was measured are among them
        ray.get(running)
    finally:
        # What a killed Tune has reserved is free only when this process leaves the cluster.
        controller.stop.remote()
        ray.wait([running], timeout=GRACE)
        ray.kill(controller)


def _settle(dispatcher: Dispatcher, measured: Measured, lost: Counter[int], retries: int) -> None:
    """Take an outcome; not yet, if its worker died and another may try again. `lost` counts such deaths by job."""
    number, outcome = measured.number, measured.outcome
    if outcome is None:
        lost[number] += 1
        if lost[number] <= retries:
            dispatcher.take_back(number)
            return
        outcome = Outcome({}, f"the worker died ({lost[number]} times)")
    dispatcher.settle(number, outcome)


def _requests(controller: Any, cluster: Cluster) -> Iterator[Request]:
    """What Tune wants, until it ends. Raises `ClusterError` when the last machine that could hold a worker is lost."""
    looked = time.monotonic()
    while True:
        waiting, ready = controller.request.remote(), False
        while not ready:
            ready = bool(ray.wait([waiting], timeout=PATIENCE)[0])
            if time.monotonic() - looked > PATIENCE:
                require_room(cluster)
                looked = time.monotonic()
        request = ray.get(waiting)
        if isinstance(request, Ended):
            return
        yield request
