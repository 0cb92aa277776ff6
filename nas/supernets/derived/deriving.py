"""The axes of a model: its program is captured, labelled, and what the labels say is written down by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import final

from torch import nn

from nas.axes import Dim
from nas.searchspaces.axis_names import axis_name
from nas.supernets.derived.algebra import Axis, Dims, flat
from nas.supernets.derived.blocks import block_of, blocks_of
from nas.supernets.derived.derivation import Derivation
from nas.supernets.derived.labels import OUTPUT, Labels, label
from nas.supernets.derived.program import Program, capture
from nas.supernets.derived.roles import Roles

JOINED = "joined"
"""Dimension of what is a concatenation: it has no size of its own."""


def derive(model: nn.Module, image: tuple[int, int, int]) -> Derivation:
    """The axes of a model on images of this shape (channels, height, width), found without values in a few seconds.
    Raises `ModelError` for a forward that cannot be captured.
    """
    program = capture(model, image)
    return derivation_of(model, program, label(program))[0]


def derivation_of(model: nn.Module, program: Program, labels: Labels) -> tuple[Derivation, dict[Axis, str]]:
    """What a labelled program says of the model that it was captured from, and the axes that it names."""
    own = [name for name, _ in model.named_parameters()]
    blocks = blocks_of(model, [name for name in own if _writes_output(labels.state.get(name, []))])
    names = Roles(program, labels, blocks, [name for name in own if name in labels.state]).names()
    spelled = _Spelling(names)
    parameters = {name: tuple(map(spelled.dim, dims)) for name, dims in labels.state.items()}
    fixed: dict[str, list[str]] = defaultdict(list)
    for name in own:
        for place, dim in enumerate(labels.state.get(name, [])):
            for reason in dict.fromkeys(axis.reason for axis in flat(dim) if axis.reason):
                fixed[reason].append(f"{name} dimension {place}")
    derivation = Derivation(
        model=type(model).__name__,
        axes={name: axis.size for axis, name in names.items()},
        parameters=parameters,
        joined=spelled.joined,
        fixed={reason: tuple(places) for reason, places in fixed.items()},
        blocks=blocks,
        skippable=tuple(index for index in blocks if passed_by(index, blocks, program, labels)),
    )
    return derivation, names


@final
class _Spelling:
    """Dimensions as names and numbers."""

    def __init__(self, names: Mapping[Axis, str]) -> None:
        self.joined: dict[str, tuple[Dim, ...]] = {}
        self._names = dict(names)

    def dim(self, dims: Dims) -> Dim:
        """One dimension; "1" for one of a single unit."""
        return tuple(self._atom(axis) for axis in flat(dims)) or ("1",)

    def _atom(self, axis: Axis) -> str:
        if axis in self._names:
            return self._names[axis]
        parts = tuple(map(self.dim, axis.parts)) if axis.kind == "joined" and not axis.reason else ()
        if all(atom.isdecimal() for part in parts for atom in part):
            return str(axis.size)
        name = self._names[axis] = axis_name(JOINED, str(len(self.joined)))
        self.joined[name] = parts
        return name


def passed_by(index: str, blocks: Mapping[str, str], program: Program, labels: Labels) -> str:
    """The value that a block is given and may give on unchanged, since the one that it gives has the same axes; empty
    where there is none.
    """
    inside = [node for node in program.nodes() if block_of(node, blocks) == index]
    names = {node.name for node in inside}
    own = {name for name, (_, state) in program.inputs.items() if state.startswith(f"{blocks[index]}.")}
    if any(node.name in own and {user.name for user in node.users} - names for node in program.code.graph.nodes):
        return ""  # others read its parameters
    given = {node.name: node for inner in inside for node in inner.all_input_nodes if node.name not in names}
    gives = [node for node in inside if any(user.name not in names for user in node.users)]
    if len(gives) != 1:
        return ""
    wanted = _flat(labels.values[gives[0].name])
    alike = (name for name in given if name in labels.images and _flat(labels.values[name]) == wanted)
    return next(alike, "")


def _writes_output(dims: list[Dims]) -> bool:
    return any(axis.reason == OUTPUT for dim in dims[:1] for axis in flat(dim))


def _flat(dims: list[Dims]) -> list[Dims]:
    return [flat(dim) for dim in dims]
