"""Time two functions in turn, A B A B, and compare pair by pair: on a shared machine only ratios of neighbours hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def ratio(a: Callable[[], object], b: Callable[[], object], pairs: int) -> dict[str, float]:
    """Median, least and greatest a/b of `pairs` pairs after one warm-up of both, and the median seconds of each."""
    a(), b()
    return compared([(seconds(a), seconds(b)) for _ in range(pairs)])


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
