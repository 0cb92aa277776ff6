"""Races part by part against the best: who is stopped when, how often wrongly, and the same after any kill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from nas.errors import StrategyError
from nas.search import Search, Trial, winner
from nas.search.trial import PARTS
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.limit import Limit
from nas.strategies.racing import Racing
from nas.testing.toy import ACCURACY, MACS, TINY, Toy

EVOLUTION = {"use": "evolution", "population": 12, "sample": 4}


@dataclass
class Noisy:
    """A toy's measure on images that are hard for all alike, and on which each architecture has luck of its own: by
    how much its parts differ is `luck`.
    """

    toy: Toy
    luck: float = 0.01
    fails: int = 0
    asked: list[tuple[str, float]] = field(default_factory=list)

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        return next(self.stages(architecture, (1.0,)))

    def parts(self, architecture: Architecture, count: int) -> np.ndarray:
        own = np.random.default_rng(int(architecture.digest, 16)).normal(0, self.luck, count)
        hard = np.random.default_rng(0).normal(0, 0.2, count)
        return self.toy.measure(architecture)["accuracy"] + own - own.mean() + hard - hard.mean()

    def stages(self, architecture: Architecture, shares: Sequence[float]) -> Iterator[Mapping[str, float]]:
        parts = self.parts(architecture, len(shares))
        for count, share in enumerate(shares, 1):
            self.asked.append((architecture.digest, share))
            if self.fails and int(architecture.digest, 16) % self.fails == 0 and count == 3:
                raise RuntimeError("no memory")
            yield {"accuracy": float(parts[:count].mean())}


def live(measure: Any, toy: Toy, trials: int, **options: Any) -> Search:
    return toy.search(trials=trials, limit=Limit(toy, macs="60%"), measure=measure, **options)


def plain(trials: Sequence[Trial]) -> list[tuple[Any, ...]]:
    return [(t.number, t.architecture.digest, dict(t.metrics), t.state, t.share, t.error, t.parts) for t in trials]


def test_it_finds_the_winner_of_whole_measurements_on_fewer_images() -> None:
    toy = Toy()
    racing = list(Racing(searcher="uniform").search(live(Noisy(toy), toy, 100)))
    whole = list(Racing(searcher="uniform", parts=12, least=12).search(live(Noisy(toy), toy, 100)))
    assert {t.share for t in whole} == {1.0}
    assert [t.architecture for t in racing] == [t.architecture for t in whole]
    assert winner(racing, [ACCURACY]).architecture == winner(whole, [ACCURACY]).architecture
    assert sum(t.share for t in racing) < 0.6 * 100
    assert {t.state for t in racing} == {"done", "stopped"}
    assert min(t.share for t in racing) == pytest.approx(4 / 12)


def test_parts_are_those_of_the_images_and_say_how_far_a_score_may_be_off() -> None:
    toy = Toy()
    measure = Noisy(toy)
    for trial in Racing(searcher="uniform").search(live(measure, toy, 12)):
        seen = round(trial.share * 12)
        parts = measure.parts(trial.architecture, 12)[:seen]
        assert trial.parts == pytest.approx(parts)
        assert trial.metrics["accuracy"] == pytest.approx(parts.mean())
        assert trial.standard_error == pytest.approx(parts.std(ddof=1) / np.sqrt(seen))


def test_the_bound_is_students_on_the_differences_and_knows_how_many_parts_are_left() -> None:
    racing = Racing(parts=10, least=4, confidence=0.94)  # an error of 1 % at each of 6 looks
    assert racing._loses(np.array([-1.0, -1.1, -0.9, -1.0]))
    assert not racing._loses(np.array([-1.0, 1.1, -0.9, -1.0]))
    # One-sided t of 3 degrees of freedom at 1 %, with 6 of 10 parts left.
    edge = 4.5407 * np.std([0, 1, 2, 3], ddof=1) * np.sqrt(0.6 / 4)
    assert racing._loses(np.array([0.0, 1, 2, 3]) - 1.5 - 1.001 * edge)
    assert not racing._loses(np.array([0.0, 1, 2, 3]) - 1.5 - 0.999 * edge)


def test_of_those_that_would_have_won_at_most_the_promised_share_is_stopped() -> None:
    rng, racing = np.random.default_rng(0), Racing()
    gains = rng.normal(0, 1, (4000, 12))
    gains = gains[gains.mean(1) > 0]
    stopped = sum(any(racing._loses(row[:seen]) for seen in range(racing.least, 12)) for row in gains)
    assert stopped <= (1 - racing.confidence) * len(gains)
    certain = gains - 3.0
    assert sum(racing._loses(row[:8]) for row in certain) > 0.9 * len(certain)


@pytest.mark.parametrize("fails", [0, 4], ids=["", "failures"])
def test_killed_at_any_trial_it_ends_the_same_and_measures_nothing_recorded_again(fails: int) -> None:
    toy, strategy = Toy(), Racing(searcher=EVOLUTION)
    whole = list(strategy.search(live(Noisy(toy, fails=fails), toy, 30)))
    assert {t.state for t in whole} == {"done", "stopped"} | ({"failed"} if fails else set())
    for stop in range(0, 30, 3):
        measure = Noisy(toy, fails=fails)
        rest = list(strategy.search(live(measure, toy, 30, history=whole[:stop])))
        assert plain(rest) == plain(whole[stop:])
        assert not {digest for digest, _ in measure.asked} & {t.architecture.digest for t in whole[:stop]}


def test_repeats_are_not_measured_and_race_against_nobody() -> None:
    toy = Toy(TINY)
    measure = Noisy(toy)
    trials = list(Racing(searcher="uniform").search(toy.search(trials=14, measure=measure)))
    assert sum(t.cached for t in trials) == 5
    assert all(PARTS not in t.notes for t in trials if t.cached)
    assert len({digest for digest, _ in measure.asked}) == 9


def test_several_objectives_and_a_measure_without_parts_are_refused() -> None:
    toy = Toy()
    with pytest.raises(StrategyError, match=r"found 2 objectives \(accuracy, macs\); one decides who is the best"):
        Racing().search(toy.search(trials=3, objectives=(ACCURACY, MACS)))
    with pytest.raises(StrategyError, match="knows no parts of images"):
        Racing().search(toy.search(trials=3, measure=toy.measure))
