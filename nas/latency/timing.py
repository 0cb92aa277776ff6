"""How long forward passes take, step by step: all take turns, so that what else the machine does hits all alike.

Where one thread computes, its processor time is taken: a process that others interrupt takes longer by the clock on the
wall, and by this one hardly. What remains (caches, frequencies, memory that others use) makes a pass slower and never
faster, so a low quantile of all rounds counts; or it slows neighbouring passes down alike for a while: then that pace
is left out, and the middle one counts.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.latency.pace import paces

WARM_UP = 1
ROUNDS = (2, 400)
"""Fewest and most rounds in which all passes take turns."""
SECONDS = 60.0
"""How long rounds go on, about."""
WARMING = 5e-3
"""Seconds for which a pass is repeated before it is timed, once at least: a small model's second pass after another
model's still takes 5 % longer than its fifth, its third 1 %. One pass of a turn is timed: what slows a machine down
lasts for several passes, so that as many more turns halve the noise, and repeats within a turn hardly lessen it.
"""
QUANTILE = 0.1
"""Of times that have the machine's pace in them."""


@final
@dataclass(frozen=True)
class Forward:
    """A forward pass: what goes in, the steps that it goes through, and what it is called."""

    inputs: Tensor
    steps: tuple[Callable[[Any], Any], ...]
    name: str = ""

    def __call__(self) -> object:
        """What comes out."""
        x: Any = self.inputs
        for step in self.steps:
            x = step(x)
        return x


class StepTime(NamedTuple):
    """Milliseconds; their noise: what another measurement would differ by, about, as a share of them; and by what share
    they were longer in the second half of the rounds than in the first.
    """

    milliseconds: float
    noise: float
    drift: float = 0.0


class Clock(Protocol):
    """What times the steps of one pass."""

    def __call__(self, forward: Forward) -> list[float]:
        """Seconds of each step."""
        ...


def take_turns(forwards: Sequence[Forward], clock: Clock, seconds: float = SECONDS) -> list[list[StepTime]]:
    """What each step of some passes takes by a clock, in about so many seconds."""
    numbers, steps = zip(*turns(forwards, lasting(seconds, ROUNDS), clock), strict=True)
    return of_turns(numbers, steps)


def of_turns(numbers: Sequence[int], steps: Sequence[Sequence[float]]) -> list[list[StepTime]]:
    """What each step of each pass takes, from what was timed one pass after the other: by a low quantile, or by the
    middle without the machine's pace. Where a machine rests the first is surer, where it is busy the second: of both
    the one counts that says more nearly the same of two halves of the rounds.
    """
    pace, of = paces(numbers, np.array([sum(one) for one in steps])), np.array(numbers)
    ways: tuple[list[list[StepTime]], list[list[StepTime]]] = ([], [])
    for number in range(max(numbers) + 1):
        places = np.flatnonzero(of == number).tolist()
        rounds = np.array([steps[place] for place in places]).T
        ways[0].append([timed(step) for step in rounds])
        ways[1].append([paced(step, pace[places]) for step in rounds])
    return min(ways, key=lambda way: np.median([step.noise for one in way for step in one]))


def lasting(seconds: float, limits: tuple[int, int]) -> Iterator[int]:
    """The numbers of the rounds that begin within the time, but not too few or too many."""
    fewest, most = limits
    started = time.perf_counter()
    for number in range(most):
        yield number
        if number + 1 >= fewest and time.perf_counter() - started > seconds:
            return


def in_turns(forwards: Sequence[Forward], rounds: Iterable[int], clock: Clock) -> list[list[list[float]]]:
    """Seconds of each pass, in each of the rounds, of each of its steps."""
    times: list[list[list[float]]] = [[] for _ in forwards]
    for number, steps in turns(forwards, rounds, clock):
        times[number].append(steps)
    return times


def turns(forwards: Sequence[Forward], rounds: Iterable[int], clock: Clock) -> Iterator[tuple[int, list[float]]]:
    """One pass after the other: its number, and the seconds of each of its steps. Each round goes through the passes in
    an order of its own, so that none always follows the same one, or itself.
    """
    for _ in range(WARM_UP):
        for forward in forwards:
            forward()
    rng = np.random.default_rng(0)
    for _ in rounds:
        for number in rng.permutation(len(forwards)).tolist():
            yield number, clock(forwards[number])


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """So many threads of torch for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def warmed(clock: Clock) -> Clock:
    """A clock for models that run again and again, as deployed ones do: passes that are not timed leave its weights in
    the caches, and not those of another model.
    """

    def repeated(forward: Forward) -> list[float]:
        started = time.perf_counter()
        forward()
        while time.perf_counter() - started < WARMING:
            forward()
        return clock(forward)

    return repeated


def finish(forward: Forward) -> None:
    """A pass, to the end of what it gives a GPU to do."""
    forward()
    if forward.inputs.is_cuda:
        torch.cuda.synchronize()


def by_processor(forward: Forward) -> list[float]:
    """By the processor time of this thread."""
    return _by(time.thread_time, forward)


def by_wall(forward: Forward) -> list[float]:
    """By the clock on the wall; where there is a GPU, with all that it was given to do."""
    seconds = _by(time.perf_counter, forward)
    if not torch.cuda.is_available():
        return seconds
    started = time.perf_counter()
    torch.cuda.synchronize()
    return [*seconds[:-1], seconds[-1] + time.perf_counter() - started]


def by_events(forward: Forward) -> list[float]:
    """By the GPU's events: between steps nobody waits for it, as in a pass that is not timed."""
    events = [torch.cuda.Event(enable_timing=True) for _ in range(len(forward.steps) + 1)]  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    x: Any = forward.inputs
    events[0].record()
    for step, event in zip(forward.steps, events[1:], strict=True):
        x = step(x)
        event.record()
    torch.cuda.synchronize()
    return [before.elapsed_time(after) / 1e3 for before, after in pairwise(events)]


def _by(now: Callable[[], float], forward: Forward) -> list[float]:
    x: Any = forward.inputs
    stamps = [now()]
    for step in forward.steps:
        x = step(x)
        stamps.append(now())
    return [after - before for before, after in pairwise(stamps)]


def timed(seconds: NDArray[np.float64]) -> StepTime:
    """Of the times of some rounds. What half of them say and what the other half does differ by about twice the error
    of all of them.
    """
    whole, even, odd = (_low(part) for part in (seconds, seconds[::2], seconds[1::2]))
    return StepTime(1e3 * whole, abs(even - odd) / 2 / whole, _drift(seconds))


def paced(seconds: NDArray[np.float64], paces: NDArray[np.float64]) -> StepTime:
    """Of the times of some rounds, and of the machine's pace in each of them, which drift still has in it."""
    rounds = seconds / paces
    whole, even, odd = (max(float(np.median(part)), 1e-12) for part in (rounds, rounds[::2], rounds[1::2]))
    return StepTime(1e3 * whole, abs(even - odd) / 2 / whole, _drift(seconds))


def _drift(seconds: NDArray[np.float64]) -> float:
    middle = len(seconds) // 2
    return _low(seconds[middle:]) / _low(seconds[:middle]) - 1


def _low(seconds: NDArray[np.float64]) -> float:
    return max(float(np.quantile(seconds, QUANTILE)), 1e-12)
