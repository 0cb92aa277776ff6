"""Trials kept in order while they come in, against sorting all of them anew."""

import numpy as np
import pytest

from nas.search import Objective, Trial
from nas.search.ranking import best_first, furthest_first
from nas.search.standings import FEW, Fronts, Standings
from nas.search.trial import SHARE
from nas.searchspaces.architecture import Architecture

OBJECTIVES = (Objective("accuracy", maximise=True), Objective("macs", maximise=False))


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("values", [4, 1000], ids=["ties", "few ties"])
def test_fronts_are_those_of_a_sort_after_every_point(objectives: int, values: int) -> None:
    points = np.random.default_rng(objectives).integers(0, values, size=(80, objectives)).astype(float)
    fronts = Fronts(points[:20].copy())
    for count in range(20, len(points)):
        fronts.add(points[count])
        assert [fronts.at(place) for place in range(count + 1)] == best_first(points[: count + 1])


def test_a_point_better_than_all_moves_every_front_back() -> None:
    """Two objectives that agree: as many fronts as points."""
    fronts = Fronts(np.zeros((0, 2)))
    for value in (5.0, 3.0, 4.0, 1.0, 2.0):
        fronts.add(np.array([value, value]))
    assert [fronts.at(place) for place in range(5)] == [3, 4, 1, 2, 0]


def _trial(number: int, rng: np.random.Generator) -> Trial:
    share = float(rng.choice([1 / 9, 1 / 3, 1.0]))
    failed = rng.random() < 0.2
    return Trial(
        number=number,
        architecture=Architecture({"x": number}),
        metrics={} if failed else {"accuracy": float(rng.integers(20))},
        costs={"macs": int(rng.integers(20))},
        strategy="toy",
        seed=0,
        seconds=0.0,
        state="failed" if failed else "stopped" if share < 1 else "done",
        error="no memory" if failed else None,
        notes={SHARE: share} if share < 1 else {},
    )


@pytest.mark.parametrize("often", [1, FEW + 5], ids=["one by one", "many at once"])
def test_standings_are_those_of_a_sort(often: int) -> None:
    """Measured on more images first; those that failed are left out; leaders are among those that are done."""
    rng = np.random.default_rng(0)
    standings, history = Standings(OBJECTIVES), []
    for number in range(4 * often + 60):
        history.append(_trial(number, rng))
        standings.add(history[-1])
        if number % often == 0:
            pool = [trial for trial in history if trial.state != "failed"]
            assert list(standings) == [pool[index] for index in furthest_first(pool, OBJECTIVES)]
            assert standings.done[:] == [trial for trial in standings if trial.state == "done"]


def test_there_is_no_place_behind_the_last() -> None:
    with pytest.raises(IndexError):
        Standings(OBJECTIVES)[0]


def test_what_pushes_too_many_fronts_is_sorted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.search.standings.FAR", 2)
    points = np.random.default_rng(0).normal(size=(60, 2))
    fronts = Fronts(points[:30].copy())
    for point in points[30:]:
        fronts.add(point)
    assert [fronts.at(place) for place in range(60)] == best_first(points)
