"""Finalists: which trials compete before a winner is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from nas.search import Objective, Trial
from nas.search.finalists import distance, finalists, nearness
from nas.searchspaces import Architecture, Limit

ACCURACY = Objective("accuracy", maximise=True)


class AtMost:
    """A limit of 100 MACs."""

    bounds: Mapping[str, tuple[float, float]] = {"macs": (-float("inf"), 100.0), "params": (5.0, float("inf"))}

    def allows(self, architecture: Architecture) -> bool:
        return architecture["size"] <= 100


LIMIT = cast("Limit", AtMost())


def trial(number: int, accuracy: float, size: int, kind: int = 0, **changes: Any) -> Trial:
    architecture = Architecture({"size": size, "a": kind, "b": kind, "c": kind})
    values = {
        "number": number, "architecture": architecture, "metrics": {"accuracy": accuracy}, "strategy": "s", "seed": 0,
        "costs": {"macs": size, "params": 10}, "seconds": 0.0, **changes,
    }  # fmt: skip
    return Trial(**values)


def numbers(trials: list[Trial], count: int) -> list[int]:
    return [one.number for one in finalists(trials, ACCURACY, LIMIT, count)]


def test_they_come_from_the_front_of_score_and_nearness_to_the_limit() -> None:
    trials = [
        trial(0, 0.9, 50, 1),
        trial(1, 0.9, 60, 2),  # of equal scores, the one that is nearer
        trial(2, 0.8, 90, 3),
        trial(3, 0.7, 80, 4),  # behind the first front, beside number 0
        trial(4, 0.6, 40, 5),
    ]
    assert numbers(trials, 2) == [1, 2]
    assert numbers(trials, 4) == [1, 2, 0, 3]
    assert numbers(trials[::-1], 4) == [1, 2, 0, 3], "whatever the order of the trials"


def test_only_what_is_done_and_allowed_once() -> None:
    done = trial(0, 0.5, 50)
    others = [
        trial(1, 0.9, 101),
        trial(2, 0.9, 60, state="stopped"),
        trial(3, 0.9, 50, 1, state="failed", metrics={}, error="no luck"),
        trial(4, 0.5, 50, cached=True),
    ]
    assert numbers([done, *others], 5) == [0]
    assert numbers(others[:3], 5) == []


def test_what_is_much_like_a_better_one_comes_last() -> None:
    likes = [trial(0, 0.9, 90), trial(1, 0.8, 91), trial(2, 0.7, 92, 1)]
    assert distance(likes[0].architecture, likes[1].architecture) == 0.25
    apart = [trial(0, 0.9, 90), *(trial(n, 0.9 - n / 100, 90, cached=False) for n in (1, 2))]
    assert numbers(apart, 3) == [0], "the same architecture is no other one"
    wide = [Trial(**{**vars(one), "architecture": _wide(one)}) for one in likes]
    assert numbers(wide, 2) == [0, 2]
    assert numbers(wide, 3) == [0, 2, 1]


def _wide(one: Trial) -> Architecture:
    """With more choices, of which the size is one of ten."""
    return Architecture({**one.architecture, **{f"more.{i}": one.architecture["a"] for i in range(6)}})


def test_nearness_is_that_of_the_cost_that_uses_most() -> None:
    assert nearness(trial(0, 0.5, 50), LIMIT) == 0.5


@pytest.mark.parametrize("count", [0, 1])
def test_no_more_than_asked(count: int) -> None:
    assert len(numbers([trial(0, 0.9, 50, 1), trial(1, 0.8, 60, 2)], count)) == count
