"""Searches on Ray, on workers of this machine: the same as without, whatever dies or fails. Ray starts once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nas.errors import StrategyError
from nas.searchspaces.limit import Limit
from nas.strategies import Problem, Trial, winner
from nas.strategies.dispatch import Dispatcher
from nas.strategies.evolution import Evolution
from nas.strategies.problem import Outcome
from nas.testing.toy import ACCURACY, MACS, Toy, ToyMeasure

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'nas[ray]'")
from nas.cluster import Cluster, connected  # noqa: E402
from nas.strategies.with_raytune import WithRaytune  # noqa: E402

pytestmark = pytest.mark.timeout(150)
TRIALS = 12
SEARCHER = {"use": "evolution", "population": 4, "sample": 2}


@pytest.fixture(scope="module", autouse=True)
def _workers() -> Iterator[None]:
    with connected(Cluster(), 3):
        yield


def on_ray(**options: Any) -> WithRaytune:
    return WithRaytune(**{"trials": TRIALS, "searcher": SEARCHER, "round": 5} | options)


def problem(measure: Mapping[str, Any] | None = None, **options: Any) -> Problem:
    toy = Toy()
    given: dict[str, Any] = {
        "trials": TRIALS,
        "limit": Limit(toy, macs="60%"),
        "measure": ToyMeasure(toy, **measure or {}),
    }
    return toy.problem(**given | options)


def plain(trials: list[Trial]) -> list[tuple[Any, ...]]:
    ordered = sorted(trials, key=lambda trial: trial.number)
    return [(t.number, t.architecture.digest, dict(t.metrics), t.error, t.cached) for t in ordered]


def without_ray(asked: Problem) -> list[Trial]:
    """The same rounds, one job after the other in this process."""
    dispatcher = Dispatcher(Evolution(trials=TRIALS, population=4, sample=2), asked, 5)
    while (job := dispatcher.next()) is not None:
        try:
            outcome = Outcome(asked.measure(job.architecture))
        except RuntimeError as fault:
            outcome = Outcome({}, f"RuntimeError: {fault}")
        dispatcher.settle(job.number, outcome)
    return asked.history


@pytest.mark.parametrize("workers", [1, 3])
def test_rounds_are_the_same_on_any_number_of_workers(workers: int, tmp_path: Path) -> None:
    """Also with candidates that fail, and with a worker that is killed: that costs a retry."""
    killed = tmp_path / "killed"
    recorded: list[Trial] = []
    asked = problem({"fails": 4, "lethal": str(killed)})
    asked.record = recorded.append
    found = list(on_ray(workers=workers).search(asked))
    assert killed.exists()
    assert plain(found) == plain(without_ray(problem({"fails": 4})))
    assert {trial.error for trial in found} == {None, "RuntimeError: no memory"}
    assert recorded == found == sorted(asked.history, key=recorded.index)


def test_a_search_that_was_stopped_continues_to_the_same() -> None:
    asked = problem()
    running = on_ray().search(asked)
    list(itertools.islice(running, 3))
    running.close()  # type: ignore[attr-defined]
    assert 3 <= len(asked.history) < TRIALS
    again = problem(history=asked.history)
    list(on_ray().search(again))
    assert plain(again.history) == plain(without_ray(problem()))


def test_running_freely_takes_several_objectives_and_any_strategy(tmp_path: Path) -> None:
    """Without retries, a worker that is killed costs a trial, and no more."""
    asked = problem({"lethal": str(tmp_path / "killed")}, objectives=(ACCURACY, MACS))
    searcher = {"use": "with_optuna", "sampler": "nsga2", "population": 4}
    found = list(on_ray(mode="free", searcher=searcher, ray=Cluster(retries=0)).search(asked))
    assert sorted(trial.number for trial in found) == list(range(TRIALS))
    assert all(asked.allows(trial.architecture) for trial in found)
    assert len({trial.architecture.digest for trial in found}) == TRIALS
    (lost,) = (trial for trial in found if trial.state == "failed")
    assert "the worker died" in str(lost.error)


def test_racing_gives_poor_candidates_up() -> None:
    asked = problem({"noise": 0.02}, trials=24)
    found = list(on_ray(trials=24, mode="free", asha=True, searcher="uniform").search(asked))
    states = [trial.state for trial in found]
    assert len(states) == 24
    assert set(states) == {"done", "stopped"}
    assert states.count("stopped") >= 6
    best = winner(found, (ACCURACY,), asked.limit)
    assert best.state == "done"
    assert best.value("accuracy") == Toy().measure(best.architecture)["accuracy"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"asha": True}, "mode: free"),
        ({"asha": True, "mode": "free", "objectives": (ACCURACY, MACS)}, "2 objectives"),
        ({"asha": True, "mode": "free", "measure": Toy().measure}, "knows no shares"),
    ],
)
def test_options_that_exclude_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    given = {key: options.pop(key) for key in ("objectives", "measure") if key in options}
    toy = Toy()
    with pytest.raises(StrategyError, match=message):
        on_ray(**options).search(toy.problem(trials=TRIALS, limit=Limit(toy, macs="60%"), **given))
