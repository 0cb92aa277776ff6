"""Several copies of a model, timed at several times, as one time.

A machine is faster at one time than at another, for all that it runs. Passes that took turns had that in common: their
level. It is told from what the passes themselves take as the rows of a table are told from its columns, by medians in
turns (Tukey 1977, "Exploratory Data Analysis": median polish), and left out: how sub-networks lie to each other is what
a table is made from, and levels would add more to it than all other noise.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.latency.timing import StepTime

POLISHES = 10
"""Turns of the medians; they stand still after a few."""


@final
@dataclass(frozen=True)
class Sitting:
    """Passes that took turns: their numbers, and of each what its steps took."""

    passes: Sequence[int]
    times: Sequence[Sequence[StepTime]]

    @property
    def milliseconds(self) -> NDArray[np.float64]:
        """Of whole passes."""
        return np.array([sum(step.milliseconds for step in steps) for steps in self.times])


def of_all(sittings: Sequence[Sitting]) -> list[list[StepTime]]:
    """Of each pass, in the order of their numbers, what its steps take: the middle of its copies, one a sitting,
    without the levels of sittings.
    """
    copies: dict[int, list[tuple[float, Sequence[StepTime]]]] = defaultdict(list)
    for sitting, level in zip(sittings, levels(sittings), strict=True):
        for number, steps in zip(sitting.passes, sitting.times, strict=True):
            copies[number].append((level, steps))
    found = []
    for number in sorted(copies):
        of_levels, of_steps = zip(*copies[number], strict=True)
        found.append([together(one, of_levels) for one in zip(*of_steps, strict=True)])
    return found


def levels(sittings: Sequence[Sitting]) -> list[float]:
    """By how much longer passes took in each sitting than in the others that they had a part in; 1 where none had."""
    wholes, found = [sitting.milliseconds for sitting in sittings], np.ones(len(sittings))
    for _ in range(POLISHES):
        parts: dict[int, list[float]] = defaultdict(list)
        for sitting, whole, level in zip(sittings, wholes, found, strict=True):
            for number, milliseconds in zip(sitting.passes, whole / level, strict=True):
                parts[number].append(milliseconds)
        middles = {number: float(np.median(of)) for number, of in parts.items()}
        for place, (sitting, whole) in enumerate(zip(sittings, wholes, strict=True)):
            found[place] = np.median(whole / [middles[number] for number in sitting.passes])
        found /= np.exp(np.log(found).mean())
    return [float(level) for level in found]


def together(copies: Sequence[StepTime], levels: Sequence[float]) -> StepTime:
    """The middle time of one step in several copies of a model, whose noise is seen in how they differ beyond the
    levels of when they were timed; drift has these in it.
    """
    if len(copies) == 1:
        return copies[0]
    measured = np.array([one.milliseconds for one in copies])
    milliseconds = measured / levels
    middle = float(np.median(milliseconds))
    # Of normal errors, a median's is greater than a mean's by the root of half of pi.
    noise = float(milliseconds.std(ddof=1)) / middle * (math.pi / 2 / len(copies)) ** 0.5
    return StepTime(middle, noise, float(measured[-1] / measured[0]) - 1)
