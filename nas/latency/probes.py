"""At which sizes of the choices that decide a step it is timed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

from nas.errors import LatencyError
from nas.searchspaces import Architecture, SearchSpace
from nas.searchspaces.axis_names import dimension, is_bits
from nas.supernets.chosen_steps import ChosenStep, fitted

LEVELS = 6
"""The most sizes of one choice at which a step is measured."""
PROBES = 64
"""The most combinations of them, where fewer sizes make fewer."""
MOST_PROBES = 1024
"""The most combinations of the two ends of all choices."""


def levels_of(step: ChosenStep, space: SearchSpace) -> list[NDArray[np.int64]]:
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


def combinations(step: ChosenStep, space: SearchSpace) -> list[tuple[int, ...]]:
    """All combinations of levels: indices of values, one for each deciding choice."""
    return list(product(*(levels.tolist() for levels in levels_of(step, space))))


def probes(step: ChosenStep, space: SearchSpace) -> Iterator[tuple[tuple[int, ...], Architecture]]:
    """The combinations of levels, each with an architecture that has them, and otherwise the largest values that go
    with them.
    """
    choices = list(space.values())
    for indices in combinations(step, space):
        chosen = dict(zip(step.choices, indices, strict=True))
        wanted = [chosen.get(position, len(choice.values) - 1) for position, choice in enumerate(choices)]
        yield indices, fitted(wanted, space)


def sizes_of(position: int, space: SearchSpace) -> NDArray[np.float64]:
    """Where the values of a choice lie between which times are interpolated: ascending numbers of units."""
    choice = list(space.values())[position]
    units = np.array([sum(sizes.values()) for sizes in choice.sizes], dtype=np.float64)
    return units if (np.diff(units) > 0).all() else np.arange(len(units), dtype=np.float64)


def grows(position: int, space: SearchSpace) -> bool:
    """Whether a choice's greater values are more to compute, so that no device takes less time for them. Bits are not:
    a device that has no kernels for 8 rounds, and then computes as with 32.
    """
    return not any(is_bits(dimension(axis)) for axis in list(space.values())[position].axes)


Indexed = Mapping[tuple[int, ...], float]
"""Combination of levels -> milliseconds."""
