"""How long calls take: all of them take turns, so that what else the machine does hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import torch

WARM_UP = 3
ROUNDS = 15
"""An odd number: the median is one of the times."""

TimedCall = Callable[[], object]


class Timed(NamedTuple):
    """Milliseconds of one call: the median of the rounds, and half the distance of their quartiles as a share of it."""

    milliseconds: float
    spread: float


class Timer(Protocol):
    """What times calls; tests have one that computes."""

    def __call__(self, calls: Sequence[TimedCall]) -> list[Timed]:
        """Of each call, in their order."""
        ...


def take_turns(calls: Sequence[TimedCall], rounds: int = ROUNDS) -> list[Timed]:
    """What each of some calls takes."""
    return [_timed(seconds) for seconds in in_turns(calls, range(rounds))]


def in_turns(calls: Sequence[TimedCall], rounds: Iterable[int]) -> list[list[float]]:
    """Seconds of each call in each of the rounds, which are counted from 0. Every second one goes through the calls
    backwards, so that none always follows the same one.
    """
    for _ in range(WARM_UP):
        for call in calls:
            call()
    times: list[list[float]] = [[] for _ in calls]
    order = list(range(len(calls)))
    for turn in rounds:
        for position in order if turn % 2 == 0 else reversed(order):
            times[position].append(_seconds(calls[position]))
    return times


def _seconds(call: TimedCall) -> float:
    start = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _timed(seconds: list[float]) -> Timed:
    first, median, third = statistics.quantiles(seconds, n=4)
    return Timed(1e3 * median, (third - first) / 2 / median)
