"""Retraining that cuts one block after another, from the last to the first, one per epoch (the schedule of MCF, Bai et
al., Multi-dimension compression of feed-forward networks): the epochs that are left recover.
"""

from __future__ import annotations

from nas.searchspaces import Architecture, SearchSpace
from nas.searchspaces.axis_names import index, position


def stages(space: SearchSpace, small: Architecture) -> tuple[Architecture, ...]:
    """The architectures of the epochs, as many as there are blocks; the last one is `small`.

    A choice takes its value when the first of its blocks has its turn; what lies in no block is cut at once.
    """
    # The first block of each choice, () where it lies in no block. The deepest of these blocks has the first turn.
    firsts = {
        name: min((position(index(axis)) for axis in choice.axes if index(axis)), default=())
        for name, choice in space.items()
    }
    turns = sorted({first for first in firsts.values() if first}, reverse=True)
    target, whole = space.to_table([small])[0], space.to_table([space.largest])[0]
    # Row n is the architecture of epoch n: each choice is whole until its turn, and stays cut after it.
    rows = whole[None].repeat(max(1, len(turns)), axis=0)
    for column, first in enumerate(firsts.values()):
        rows[turns.index(first) if first else 0 :, column] = target[column]
    return tuple(space.from_table(space.canonical(rows)))
