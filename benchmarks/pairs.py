"""Time two functions in turn, A B A B, and compare pair by pair: on a shared machine only ratios of neighbours hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

Clock = Callable[[], float]


def seconds(function: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    start = clock()
    function()
    return clock() - start


def ratio(
    a: Callable[[], object], b: Callable[[], object], pairs: int, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """Median, least and greatest a/b of `pairs` pairs after one warm-up of both, and the median seconds of each. With
    `time.process_time`, other processes on the machine do not count.
    """
    a(), b()
    return compared([(seconds(a, clock), seconds(b, clock)) for _ in range(pairs)])


def compared(pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Median, least and greatest a/b of pairs of seconds, and the median seconds of each."""
    times = np.array(pairs)
    ratios = times[:, 0] / times[:, 1]
    return {
        "ratio": round(float(np.median(ratios)), 3),
        "least": round(float(ratios.min()), 3),
        "greatest": round(float(ratios.max()), 3),
        "seconds_a": round(float(np.median(times[:, 0])), 4),
        "seconds_b": round(float(np.median(times[:, 1])), 4),
        "pairs": len(pairs),
    }
