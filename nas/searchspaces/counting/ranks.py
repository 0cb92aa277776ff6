"""Ranks that say nothing: where two factors cost no less than their matrix, it stays whole, whatever the rank.

Then several values of a choice are one network, of which the last is canonical; it alone counts, is drawn and is
evaluated. Whether a rank saves something hangs on the outputs and inputs that the matrix keeps, so the rules look at
the choices that set those.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.axes.sizes import leading_to
from nas.searchspaces.choices._base import Choice
from nas.searchspaces.counting.factors import AnyOf, Factor
from nas.searchspaces.outline import Outline


def rank_rules(choices: Sequence[Choice], outline: Outline) -> dict[int, AnyOf]:
    """Choice that sets ranks -> its rule, which is false in rows where its value and the next one are one network."""
    return {
        position: AnyOf.of(_differs(axis, position, choices, outline) for axis in choice.axes)
        for position, choice in enumerate(choices)
        if any(axis in outline.matrices for axis in choice.axes)
    }


def _differs(axis: str, position: int, choices: Sequence[Choice], outline: Outline) -> Factor:
    """Whether a value of a choice and the next one differ on one of its axes; true for the last value.

    Of a rank counts what it does: where factoring does not pay, or the block is skipped, all ranks are alike.
    """
    matrix, block = outline.matrices.get(axis), outline.block(axis)
    sides = (*matrix.outputs, *matrix.inputs) if matrix else ()
    deciding = {axis, *(part for side in sides for part in leading_to(side, outline.within)), *filter(None, [block])}
    scope = [p for p, choice in enumerate(choices) if p == position or deciding.intersection(choice.axes)]
    lengths = [len(choices[p].values) for p in scope]
    # The sizes of a choice's values lie along a dimension of its own: one evaluation, broadcast, is for all of them.
    sizes: dict[str, NDArray[np.int64]] = {}
    for along, p in enumerate(scope):
        shape = [-1 if d == along else 1 for d in range(len(scope))]
        for own in deciding.intersection(choices[p].axes):
            sizes[own] = np.array([chosen[own] for chosen in choices[p].sizes], np.int64).reshape(shape)
    units = np.broadcast_to(sizes[axis], lengths)
    if matrix:
        there = sizes[block] > 0 if block in sizes else True
        units = np.where(outline.factored(axis, sizes) & there, units, outline.axes[axis])
    # Dimension `along` of the choice itself: each value beside the next one, and nothing beside the last.
    along = scope.index(position)
    changes = np.diff(units, axis=along) != 0
    last = np.ones_like(np.take(units, [-1], axis=along), bool)
    return Factor(tuple(scope), np.concatenate([changes, last], axis=along))
