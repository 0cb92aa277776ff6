"""The steps of a sub-network's forward, each decided by few choices: what it takes is a sum over them, or a maximum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from nas.searchspaces import Architecture, SearchSpace
from nas.searchspaces.axis_names import DEPTH, axis_name
from nas.supernets.supernet import Supernet


@final
@dataclass(frozen=True)
class ChosenStep:
    """A step of the forward, known by the paths that it computes with, and the positions of the choices that decide it.
    `depth` is the axis by which its block may be left out, empty outside of all blocks that can.
    """

    reads: tuple[str, ...]
    choices: tuple[int, ...]
    depth: str = ""


def chosen_steps(supernet: Supernet) -> list[ChosenStep]:
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
        steps.append(ChosenStep(step.reads, tuple(deciding), depth))
    return steps


def fitted(indices: Sequence[int], space: SearchSpace) -> Architecture:
    """The architecture of some values; what may not grow along the model is cut to what comes before it."""
    most: dict[str, int] = {}
    values = {}
    for choice, index in zip(space.values(), indices, strict=True):
        if choice.chain:
            index = most[choice.chain] = min(index, most.get(choice.chain, index))
        values[choice.name] = choice.values[index]
    return space.spelled(Architecture(values))
