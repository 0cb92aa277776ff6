"""Races on shares of the images: who goes on, what is recorded of the others, and the same after any kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from nas.errors import StrategyError
from nas.search import Search, Trial, winner
from nas.search.ranking import furthest_first
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.limit import Limit
from nas.strategies.evolution import Evolution
from nas.strategies.halving import Halving
from nas.testing.toy import ACCURACY, MACS, TINY, Toy, ToyMeasure

EVOLUTION = {"use": "evolution", "population": 12, "sample": 4}
SEARCHERS: dict[str, Mapping[str, Any]] = {
    "evolution": EVOLUTION,
    "tpe": {"use": "with_optuna", "sampler": "tpe", "startup": 5},
    "nsga2": {"use": "with_optuna", "sampler": "nsga2", "population": 4},
}
NOISE = 0.2
"""On a part of the images, the order of candidates is another than on all of them."""


class Watched:
    """A measure that remembers which shares it was asked for; the first images are easier than the others."""

    def __init__(self, toy: Toy, fails: int = 0, easy: float = 0.0) -> None:
        self.measure, self.easy = ToyMeasure(toy, NOISE, fails), easy
        self.asked: list[tuple[str, float]] = []

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        raise AssertionError("measured whole, without a race")

    def stages(self, architecture: Architecture, shares: Sequence[float]) -> Iterator[Mapping[str, float]]:
        found = self.measure.stages(architecture, shares)
        for share in shares:
            self.asked.append((architecture.digest, share))
            metrics = next(found)
            yield {**metrics, "accuracy": metrics["accuracy"] + self.easy * (1 - share)}


def plain(trials: Sequence[Trial]) -> list[tuple[Any, ...]]:
    return [
        (t.number, t.architecture.digest, dict(t.metrics), t.state, t.share, t.error and "failed", t.cached)
        for t in trials
    ]


def live(measure: Any, toy: Toy, trials: int, **options: Any) -> Search:
    return toy.search(trials=trials, limit=Limit(toy, macs="60%"), measure=measure, **options)


def test_the_best_third_goes_on_and_the_others_are_stopped_with_what_was_seen_of_them() -> None:
    toy = Toy()
    measure = Watched(toy)
    trials = list(Halving(searcher=EVOLUTION).search(live(measure, toy, 27)))
    assert Counter(t.share for t in trials) == {1 / 9: 18, 1 / 3: 6, 1.0: 3}
    assert Counter(share for _, share in measure.asked) == {1 / 9: 27, 1 / 3: 9, 1.0: 3}
    for share, further in ((1 / 9, (1 / 3, 1.0)), (1 / 3, (1.0,))):
        at = {t.number: _on(measure, t, share) for t in trials if t.share >= share}
        behind = [t for t in trials if t.share == share]
        assert all(t.state == "stopped" for t in behind)
        assert all(t.metrics == _on(measure, t, share) for t in behind)
        least = min(at[t.number]["accuracy"] for t in trials if t.share in further)
        assert max(t.metrics["accuracy"] for t in behind) <= least
    assert all(t.metrics == toy.measure(t.architecture) for t in trials if t.state == "done")


def _on(measure: Watched, trial: Trial, share: float) -> Mapping[str, float]:
    return next(measure.measure.stages(trial.architecture, (share,)))


def test_the_winner_was_seen_on_all_images_whatever_luck_others_had() -> None:
    toy = Toy()
    measure = Watched(toy, easy=0.5)
    trials = list(Halving(searcher="uniform").search(live(measure, toy, 54)))
    best = winner(trials, [ACCURACY])
    assert best.state == "done"
    assert max(t.metrics["accuracy"] for t in trials if t.state == "stopped") > best.metrics["accuracy"]


@pytest.mark.parametrize("fails", [0, 4], ids=["", "failures"])
@pytest.mark.parametrize("searcher", SEARCHERS)
def test_killed_at_any_trial_it_ends_the_same_and_measures_nothing_recorded_again(searcher: str, fails: int) -> None:
    if searcher != "evolution":
        pytest.importorskip("optuna")
    toy, strategy = Toy(), Halving(searcher=SEARCHERS[searcher], round=8, eta=2)
    whole = list(strategy.search(live(Watched(toy, fails), toy, 20)))
    assert sorted(t.number for t in whole) == list(range(20))
    assert {t.state for t in whole} == {"done", "stopped"} | ({"failed"} if fails else set())
    for stop in range(20) if searcher == "evolution" else (4, 11, 17):
        first = list(islice(strategy.search(live(Watched(toy, fails), toy, 20)), stop))
        measure = Watched(toy, fails)
        rest = list(strategy.search(live(measure, toy, 20, history=first)))
        assert plain([*first, *rest]) == plain(whole), stop
        assert not {digest for digest, _ in measure.asked} & {t.architecture.digest for t in first}


def test_a_search_where_nothing_can_be_measured_spends_its_budget() -> None:
    toy = Toy()
    trials = list(Halving(searcher=EVOLUTION, round=5).search(live(Watched(toy, fails=1), toy, 12)))
    assert [t.state for t in trials] == ["failed"] * 12


def test_repeats_take_no_place_in_a_race() -> None:
    toy = Toy(TINY)
    measure = Watched(toy)
    trials = list(Halving(searcher="uniform", round=6, eta=2, rungs=2).search(toy.search(trials=14, measure=measure)))
    assert Counter(share for _, share in measure.asked) == {0.5: 9, 1.0: 4}  # 6 and 3 new ones; 3 and 1 of them go on
    assert sum(t.cached for t in trials) == 5
    first = {t.architecture.digest: t for t in trials if not t.cached}
    for trial in trials:
        again = first[trial.architecture.digest]
        assert (trial.metrics, trial.share, trial.state) == (again.metrics, again.share, again.state)


def test_evolution_breeds_from_those_that_came_furthest() -> None:
    toy = Toy()
    raced = list(Halving(searcher="uniform", round=12).search(live(Watched(toy), toy, 12)))
    order = furthest_first(raced, [ACCURACY])
    assert [raced[place].share for place in order] == sorted((t.share for t in raced), reverse=True)
    assert [raced[place].share for place in order[:2]] == [1.0, 1 / 3]
    search = live(Watched(toy), toy, 20, history=raced)
    child = Evolution(population=12, sample=12, crossover=0.0, mutation=0.0).ask(search, 12)
    done = next(t.architecture for t in raced if t.state == "done")
    rows = toy.space.to_table([child, done])
    assert np.count_nonzero(rows[0] != rows[1]) == 1, "eleven were given up, and still it has parents"


def test_what_it_cannot_race_is_refused_before_anything_is_measured() -> None:
    toy = Toy()
    with pytest.raises(StrategyError, match=r"found 2 objectives \(accuracy, macs\); .* {accuracy: max}"):
        Halving().search(live(Watched(toy), toy, 4, objectives=(ACCURACY, MACS)))
    with pytest.raises(StrategyError, match="knows no shares of images"):
        Halving().search(live(toy.measure, toy, 4))
    options = TypeAdapter(Halving)
    for searcher, reason in (
        ("halving", "propose one architecture at a time"),
        ("evolutio", "did you mean 'evolution'"),
        ({"use": "evolution", "population": 1}, "searcher 'evolution': population"),
    ):
        with pytest.raises(ValidationError, match=reason):
            options.validate_python({"searcher": searcher})
