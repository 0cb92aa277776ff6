"""Searches on Ray, one and two workers of one thread each, against the same search in this process: DeiT-Ti, 48 images
per candidate. And what a Tune trial costs when measuring costs nothing.

Ray is started before the clock: how long that takes is a row of its own, and so is how long a search takes to start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch

from benchmarks.models import supernet
from benchmarks.pairs import ratio, seconds
from nas.data import HeldSplit
from nas.evaluation import Evaluator, Measure
from nas.preprocessing import Preprocessing
from nas.search import Objective, Problem, Search
from nas.searchspaces import Limit
from nas.strategies.evolution import Evolution
from nas.strategies.with_raytune.strategy import WithRaytune
from nas.system.cluster import Cluster, connected
from nas.tasks.classification import Classification
from nas.testing.toy import Toy, ToyMeasure

TRIALS = 20
IMAGES = 48
PAIRS = 3
EMPTY_TRIALS = 200


def measure() -> Iterator[dict[str, object]]:
    started = time.perf_counter()
    with connected(Cluster(), 2):
        yield {"what": "start of Ray", "unit": "s", "value": round(time.perf_counter() - started, 1)}
        yield from _rows()


def _rows() -> Iterator[dict[str, object]]:
    candidates = _candidates()
    for workers in (1, 2):
        found = ratio(candidates(0), candidates(workers), PAIRS)
        what = f"candidates/s with {workers} Ray worker{'s' * (workers > 1)} / in this process"
        yield {"what": what, "unit": "", "value": found["ratio"], **found}
    for workers in (1, 2):
        first, each = _empty(workers)
        words = f"that measures nothing, {workers} worker{'s' * (workers > 1)}"
        yield {"what": f"a search {words}: until its first trial", "unit": "s", "value": round(first, 1)}
        yield {"what": f"a trial {words}", "unit": "s", "value": round(each, 4)}


def _empty(workers: int) -> tuple[float, float]:
    """Seconds until the first trial, and for each of the others."""
    toy = Toy()
    strategy = WithRaytune(trials=EMPTY_TRIALS, searcher="uniform", workers=workers)
    trials = strategy.search(toy.search(trials=EMPTY_TRIALS, measure=ToyMeasure(toy)))
    first = seconds(lambda: next(trials))
    return first, seconds(lambda: list(trials)) / (EMPTY_TRIALS - 1)


def _candidates() -> Callable[[int], Callable[[], object]]:
    """A search per number of workers, 0 for none."""
    net = supernet("DeiT-Ti").eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, 3, 224, 224), dtype=torch.uint8, generator=generator)
    split = HeldSplit(images, torch.zeros(IMAGES, dtype=torch.int64), Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3))
    on_images = Measure(Evaluator(net, split, Classification(), batch=16))
    evolution = {"use": "evolution", "population": 10, "sample": 3}

    def search(workers: int) -> Callable[[], object]:
        strategy = (
            WithRaytune(trials=TRIALS, searcher=evolution, workers=workers)
            if workers
            else Evolution(trials=TRIALS, population=10, sample=3)
        )

        def run() -> object:
            problem = Problem(
                space=net.space,
                objectives=(Objective("accuracy", maximise=True),),
                strategy="ray",
                seed=0,
                trials=TRIALS,
                limit=Limit(net.cost, macs="50%"),
            )
            search = Search(problem=problem, measure=on_images, counts=net.cost.counts, record=lambda _: None)
            return list(strategy.search(search))

        return run

    return search
