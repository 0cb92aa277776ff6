"""How long forward passes take, step by step: all take turns, so that what else the machine does hits all alike.

Where one thread computes, its processor time is taken: a process that others interrupt takes longer by the clock on the
wall, and by this one hardly. What remains (caches, frequencies, memory that others use) makes a pass slower and never
faster: so of all rounds a low quantile counts, and not the middle one.
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
from torch import Tensor

WARM_UP = 3
ROUNDS = (20, 400)
"""Fewest and most rounds in which all passes take turns."""
SECONDS = 60.0
"""How long rounds go on, about."""
QUANTILE = 0.1


@final
@dataclass(frozen=True)
class Forward:
    """A forward pass: what goes in, and the steps that it goes through."""

    inputs: Tensor
    steps: tuple[Callable[[Any], Any], ...]

    def __call__(self) -> object:
        """What comes out."""
        x: Any = self.inputs
        for step in self.steps:
            x = step(x)
        return x


class StepTime(NamedTuple):
    """Milliseconds, and their noise: what another measurement would differ by, about, as a share of them."""

    milliseconds: float
    noise: float


class Timer(Protocol):
    """What times forward passes; tests have one that computes."""

    def __call__(self, forwards: Sequence[Forward]) -> list[list[StepTime]]:
        """Of each pass, in their order, what each of its steps takes."""
        ...


class Clock(Protocol):
    """What times the steps of one pass."""

    def __call__(self, forward: Forward) -> list[float]:
        """Seconds of each step."""
        ...


def take_turns(forwards: Sequence[Forward], seconds: float = SECONDS) -> list[list[StepTime]]:
    """What each step of some passes takes on the device where their inputs are."""
    rounds = in_turns(forwards, lasting(seconds, ROUNDS), warmed(clock_of(forwards[0].inputs.device)))
    return [[_timed(step) for step in np.array(times).T] for times in rounds]


def lasting(seconds: float, limits: tuple[int, int]) -> Iterator[int]:
    """The numbers of the rounds that begin within the time, but not too few or too many."""
    fewest, most = limits
    started = time.perf_counter()
    for number in range(most):
        yield number
        if number + 1 >= fewest and time.perf_counter() - started > seconds:
            return


def in_turns(forwards: Sequence[Forward], rounds: Iterable[int], clock: Clock) -> list[list[list[float]]]:
    """Seconds of each pass, in each of the rounds, of each of its steps. Every second round goes through the passes
    backwards, so that none always follows the same one.
    """
    for _ in range(WARM_UP):
        for forward in forwards:
            forward()
    times: list[list[list[float]]] = [[] for _ in forwards]
    order = list(range(len(forwards)))
    for turn in rounds:
        for position in order if turn % 2 == 0 else reversed(order):
            times[position].append(clock(forwards[position]))
    return times


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """So many threads of torch for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def clock_of(device: torch.device) -> Clock:
    """The clock for passes on a device: a GPU's events; processor time where one thread computes, else the wall's."""
    if device.type == "cuda":
        return by_events
    return by_processor if torch.get_num_threads() == 1 else by_wall


def warmed(clock: Clock) -> Clock:
    """A clock for models that run again and again, as deployed ones do: each pass follows one of its own, which leaves
    its weights in the cache, and not those of another model.
    """

    def timed(forward: Forward) -> list[float]:
        forward()
        return clock(forward)

    return timed


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


def _timed(seconds: np.ndarray) -> StepTime:
    """What half of the rounds say and what the other half does differ by about twice the error of all of them."""
    whole, even, odd = (float(np.quantile(part, QUANTILE)) for part in (seconds, seconds[::2], seconds[1::2]))
    return StepTime(1e3 * whole, abs(even - odd) / 2 / max(whole, 1e-12))
