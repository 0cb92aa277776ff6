"""What the latency of a sub-network is a sum of: the steps of its forward, each decided by few choices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.errors import LatencyError
from nas.searchspaces import Architecture, SearchSpace
from nas.searchspaces.axis_names import DEPTH, axis_name
from nas.supernets import Supernet

LEVELS = 6
"""The most sizes of one choice at which a step is measured."""
PROBES = 64
"""The most combinations of them, where fewer sizes make fewer."""
MOST_PROBES = 1024
"""The most combinations of the two ends of all choices."""


@final
@dataclass(frozen=True)
class TimedStep:
    """A step of the forward, known by the paths that it computes with, and the positions of the choices that decide it.
    `depth` is the axis by which its block may be left out, empty outside of all blocks that can.
    """

    reads: tuple[str, ...]
    choices: tuple[int, ...]
    depth: str = ""


def timed_steps(supernet: Supernet) -> list[TimedStep]:
    """The steps of the largest sub-network, in the order of its forward."""
    space, frame = supernet.space, supernet.table.frame
    choosing = {axis: position for position, choice in enumerate(space.values()) for axis in choice.axes}
    blocks = {path: index for index, path in frame.blocks.items()}
    largest = supernet.subnet(space.largest)
    steps = []
    for _, step in supernet.steps(largest, space.largest):
        deciding = sorted({choosing[axis] for axis in supernet.deciding(step) if axis in choosing})
        if "" in step.reads:  # a family without steps: all of it at once, its depth too
            deciding = list(range(len(space)))
        of_blocks = (axis_name(DEPTH, blocks[path]) for path in step.reads if path in blocks)
        depth = next((axis for axis in of_blocks if axis in choosing), "")
        steps.append(TimedStep(step.reads, tuple(deciding), depth))
    return steps


def levels_of(step: TimedStep, space: SearchSpace) -> list[NDArray[np.int64]]:
    """Of each deciding choice, the indices of the values at which the step is measured: its ends, and some between.
    Raises `LatencyError` where so many choices decide it that even these are too many.
    """
    lengths = [len(list(space.values())[position].values) for position in step.choices]
    most = LEVELS
    while most > 2 and math.prod(min(length, most) for length in lengths) > PROBES:
        most -= 1
    if (count := math.prod(min(length, most) for length in lengths)) > MOST_PROBES:
        raise LatencyError(
            f"{space.model}: {len(lengths)} choices decide one step of its forward, which would be timed {count:,} "
            f"times; allowed: {MOST_PROBES}, such as a plain model whose blocks are steps of their own"
        )
    return [np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(np.int64)) for length in lengths]


def combinations(step: TimedStep, space: SearchSpace) -> list[tuple[int, ...]]:
    """All combinations of levels: indices of values, one for each deciding choice."""
    return list(product(*(levels.tolist() for levels in levels_of(step, space))))


def probes(step: TimedStep, space: SearchSpace) -> Iterator[tuple[tuple[int, ...], Architecture]]:
    """The combinations of levels, each with an architecture that has them, and otherwise the largest values that go
    with them.
    """
    choices = list(space.values())
    for indices in combinations(step, space):
        chosen = dict(zip(step.choices, indices, strict=True))
        wanted = [chosen.get(position, len(choice.values) - 1) for position, choice in enumerate(choices)]
        yield indices, fitted(wanted, space)


def fitted(indices: Sequence[int], space: SearchSpace) -> Architecture:
    """The architecture of some values; what may not grow along the model is cut to what comes before it."""
    most: dict[str, int] = {}
    values = {}
    for choice, index in zip(space.values(), indices, strict=True):
        if choice.chain:
            index = most[choice.chain] = min(index, most.get(choice.chain, index))
        values[choice.name] = choice.values[index]
    return space.spelled(Architecture(values))


def sizes_of(position: int, space: SearchSpace) -> NDArray[np.float64]:
    """Where the values of a choice lie between which times are interpolated: ascending numbers of units."""
    choice = list(space.values())[position]
    units = np.array([sum(sizes.values()) for sizes in choice.sizes], dtype=np.float64)
    return units if (np.diff(units) > 0).all() else np.arange(len(units), dtype=np.float64)


Indexed = Mapping[tuple[int, ...], float]
"""Combination of levels -> milliseconds."""
