"""What evolution breeds, and from whom."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from nas.search import Trial, standings
from nas.search.feasible import made_feasible
from nas.search.ranking import furthest_first
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.limit import Limit
from nas.strategies import evolution
from nas.strategies.evolution import Evolution
from nas.strategies.uniform import Uniform
from nas.testing.toy import ACCURACY, MACS, Toy


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


def steps(toy: Toy, a: Architecture, b: Architecture) -> int:
    """Choices in which two architectures differ."""
    rows = toy.space.to_table([a, b])
    return int((rows[0] != rows[1]).sum())


def past(toy: Toy, architectures: list[Architecture], **changes: Any) -> list[Trial]:
    search = toy.search(trials=99)
    return [dataclasses.replace(trial, **changes) for trial in search.evaluate(architectures)]


def distinct(toy: Toy, n: int) -> list[Architecture]:
    table = np.unique(toy.space.sample_table(np.random.default_rng(0), 4 * n), axis=0)
    return toy.space.from_table(np.random.default_rng(1).permutation(table)[:n])


def children(toy: Toy, strategy: Evolution, history: list[Trial], n: int = 30) -> list[Architecture]:
    searches = [toy.search(trials=99, seed=seed, history=history) for seed in range(n)]
    return [strategy.ask(search, len(history)) for search in searches]


def test_the_old_die_however_good_they_are(toy: Toy) -> None:
    """The best of all, larger than everything, is no parent any more once it is old."""
    young = [
        made_feasible(toy.problem(trials=1), row, np.random.default_rng(0)) for row in np.eye(12, dtype=np.int64)[:10]
    ]
    history = past(toy, [toy.space.largest, *young])
    bred = children(toy, Evolution(population=10, sample=10, crossover=0.0), history)
    assert all(steps(toy, child, toy.space.smallest) <= 6 for child in bred)
    elite = children(toy, Evolution(population=10, sample=1, crossover=0.0, parents="elite"), history)
    assert all(steps(toy, child, toy.space.largest) <= 6 for child in elite)


def test_failed_trials_are_no_parents_and_do_not_count(toy: Toy) -> None:
    start = distinct(toy, 6)
    good, bad = past(toy, start[:3]), past(toy, start[3:], state="failed", error="no", metrics={})
    history = [dataclasses.replace(trial, number=n) for n, trial in enumerate([*bad, *good])]
    early = [Evolution(population=4).ask(toy.search(trials=9, history=history), 6)]
    assert early[0] not in start
    bred = children(toy, Evolution(population=3, sample=3, crossover=0.0, mutation=0.0), history)
    nearest_parents = [min(start, key=lambda a: steps(toy, a, child)) for child in bred]
    assert set(nearest_parents) <= set(start[:3])


def test_children_are_new_while_there_is_something_new(toy: Toy) -> None:
    search = toy.search(trials=150, limit=Limit(toy, macs="70%"))
    trials = list(Evolution(population=20).search(search))
    assert sum(trial.cached for trial in trials) <= 3


def test_crossover_takes_every_choice_from_one_of_the_parents(toy: Toy) -> None:
    history = past(toy, [toy.space.smallest, toy.space.largest])
    bred = children(toy, Evolution(population=2, sample=1, crossover=1.0, mutation=0.0), history)
    mixed = [child for child in bred if 3 <= steps(toy, child, toy.space.largest) <= 9]
    assert len(mixed) > len(bred) / 4  # half of the pairs are one and the same parent


def test_repair_goes_to_the_nearest_and_spreads_over_ties(toy: Toy) -> None:
    limit = Limit(toy, macs="90%")
    problem = toy.problem(trials=1, limit=limit)
    row = toy.space.to_table([toy.space.largest])[0]
    rng = np.random.default_rng(0)
    fits = [made_feasible(problem, row, rng) for _ in range(40)]
    distances = {int((row - toy.space.to_table([a])[0]).sum()) for a in fits}
    nearest = toy.space.nearest(toy.space.largest, limit)
    assert distances == {int((row - toy.space.to_table([nearest])[0]).sum())}
    assert len(set(fits)) > 5
    inside = toy.space.smallest
    assert made_feasible(problem, inside, rng) == inside


@pytest.mark.parametrize("parents", ["young", "elite"])
def test_the_best_of_earlier_runs_are_the_first_population(parents: Any) -> None:
    toy = Toy()
    earlier = list(Uniform().search(toy.search(trials=30, seed=7)))
    best = sorted(earlier, key=lambda trial: -trial.value("accuracy"))[:6]
    strategy = Evolution(population=6, sample=6, crossover=0, mutation=0, parents=parents)
    search = toy.search(trials=6, prior=earlier)
    child = strategy.ask(search, 0)
    assert min(differences(toy, child, parent.architecture) for parent in best) == 1, "bred, not drawn"
    list(strategy.search(search))
    again = toy.search(trials=6, prior=earlier, history=search.history[:4])
    assert strategy.ask(again, 4) == search.history[4].architecture
    full = toy.search(trials=7, prior=earlier, history=search.history)
    assert strategy.ask(full, 6) == strategy.ask(toy.search(trials=7, history=search.history), 6), "then they are dead"


@pytest.mark.parametrize("objectives", [1, 2])
def test_trials_of_earlier_runs_are_sorted_once(objectives: int, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy()
    wanted = {"objectives": (ACCURACY, MACS)[:objectives]}
    earlier = list(Uniform().search(toy.search(trials=30, seed=7, **wanted)))
    search = toy.search(trials=9, prior=earlier, **wanted)
    order = furthest_first(earlier, search.problem.objectives)
    assert list(search.elders) == [earlier[index] for index in order]
    sorted_: list[int] = []
    for module, name in ((standings, "fronts"), (evolution, "furthest_first")):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda of, *more, sort=original: sorted_.append(len(of)) or sort(of, *more))
    again, strategy = toy.search(trials=9, prior=earlier, **wanted), Evolution(population=6, sample=2)
    for _ in range(4):
        again.evaluate([strategy.ask(again, len(again.history))])
    assert sorted_.count(30) == 1


def differences(toy: Toy, a: Architecture, b: Architecture) -> int:
    return int((toy.space.to_table([a]) != toy.space.to_table([b])).sum())
