"""Measuring several at once: in rounds the same trials whoever finishes first; no outcome lost to a kill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nas.search import AskTell, Search, Trial, find, installed
from nas.search.dispatch import Dispatcher, Job
from nas.search.trial import Outcome
from nas.searchspaces.limit import Limit
from nas.strategies.evolution import Evolution
from nas.strategies.uniform import Uniform
from nas.testing.toy import ACCURACY, MACS, TINY, Toy

TRIALS = 22
STRATEGIES: dict[str, AskTell] = {
    "uniform": Uniform(trials=TRIALS),
    "evolution": Evolution(trials=TRIALS, population=6, sample=3),
}
if "with_optuna" in installed():
    STRATEGIES["tpe"] = find("with_optuna")(trials=TRIALS, sampler="tpe", startup=5)  # type: ignore[call-arg, assignment]
    STRATEGIES["nsga2"] = find("with_optuna")(trials=TRIALS, sampler="nsga2", population=4)  # type: ignore[call-arg, assignment]
Measure = Callable[[Toy, Job], Outcome]


def measured(toy: Toy, job: Job) -> Outcome:
    if int(job.architecture.digest, 16) % 5 == 0:
        return Outcome({}, "RuntimeError: no memory")
    return Outcome(toy.measure(job.architecture))


def work(
    dispatcher: Dispatcher, toy: Toy, *, workers: int, luck: int, stop: int | None = None, measure: Measure = measured
) -> list[Job]:
    """Workers that finish in an order of luck; `stop` kills them after so many outcomes. Returns what they measured."""
    rng = np.random.default_rng(luck)
    busy: list[Job] = []
    done: list[Job] = []
    while not dispatcher.finished and len(done) != stop:
        while len(busy) < workers and (job := dispatcher.next()) is not None:
            busy.append(job)
        if busy:
            done.append(busy.pop(int(rng.integers(len(busy)))))
            dispatcher.settle(done[-1].number, measure(toy, done[-1]))
    return done


def live(toy: Toy, **options: Any) -> Search:
    return toy.search(trials=TRIALS, limit=Limit(toy, macs="60%"), **options)


def plain(trials: list[Trial]) -> list[tuple[Any, ...]]:
    ordered = sorted(trials, key=lambda trial: trial.number)
    return [(t.number, t.architecture.digest, dict(t.metrics), t.error, t.cached) for t in ordered]


@pytest.mark.parametrize("name", STRATEGIES)
def test_rounds_are_the_same_whoever_finishes_first(name: str) -> None:
    toy = Toy()
    found = []
    for workers, luck in ((1, 0), (2, 1), (2, 2), (8, 3)):
        search = live(toy, objectives=(ACCURACY, MACS))
        work(Dispatcher(STRATEGIES[name], search, 5), toy, workers=workers, luck=luck)
        found.append(plain(search.history))
    assert [row[0] for row in found[0]] == list(range(TRIALS))
    assert all(other == found[0] for other in found[1:])


@pytest.mark.parametrize("stop", [1, 4, 7, 10, 16])
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_killed_search_in_rounds_ends_the_same_and_measures_nothing_again(name: str, stop: int) -> None:
    toy = Toy()
    whole = live(toy)
    jobs = work(Dispatcher(STRATEGIES[name], whole, 5), toy, workers=3, luck=0)
    killed = live(toy)
    first = work(Dispatcher(STRATEGIES[name], killed, 5), toy, workers=3, luck=1, stop=stop)
    again = live(toy, history=killed.history)
    rest = work(Dispatcher(STRATEGIES[name], again, 5), toy, workers=2, luck=2)
    assert plain(again.history) == plain(whole.history)
    assert len(first) + len(rest) == len(jobs)


def test_rounds_of_one_are_the_sequential_search() -> None:
    toy = Toy()
    for name, strategy in STRATEGIES.items():
        search = live(toy)
        work(
            Dispatcher(strategy, search, 1),
            toy,
            workers=3,
            luck=0,
            measure=lambda t, j: Outcome(t.measure(j.architecture)),
        )
        sequential = list(strategy.search(live(toy)))
        assert plain(search.history) == plain(sequential), name


@pytest.mark.parametrize("name", STRATEGIES)
def test_running_freely_spends_the_budget_without_repeats_and_goes_on_after_a_kill(name: str) -> None:
    toy = Toy()
    killed = live(toy)
    work(Dispatcher(STRATEGIES[name], killed, None), toy, workers=4, luck=0, stop=9)
    again = live(toy, history=killed.history)
    work(Dispatcher(STRATEGIES[name], again, None), toy, workers=4, luck=1)
    assert sorted(trial.number for trial in again.history) == list(range(TRIALS))
    assert len({trial.architecture.digest for trial in again.history}) == TRIALS
    assert all(again.problem.allows(trial.architecture) for trial in again.history)


@pytest.mark.parametrize("size", [4, None])
def test_nothing_is_measured_twice_in_a_tiny_space(size: int | None) -> None:
    toy = Toy(TINY)
    search = toy.search(trials=TRIALS)
    jobs = work(Dispatcher(Uniform(trials=TRIALS), search, size), toy, workers=3, luck=0)
    assert len(search.history) == TRIALS
    assert len(jobs) == len({job.architecture for job in jobs}) == sum(not trial.cached for trial in search.history)


def test_what_is_handed_out_was_begun() -> None:
    toy = Toy()
    search = live(toy)
    begun: list[tuple[int, str]] = []
    search.begin = lambda number, architecture: begun.append((number, architecture.digest))
    jobs = work(Dispatcher(STRATEGIES["evolution"], search, 5), toy, workers=1, luck=0)
    assert begun == [(job.number, job.architecture.digest) for job in jobs]
