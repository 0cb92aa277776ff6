"""Names of derived axes: what their units are for, by where they are contracted, and the block or stage they lie in.

embed       the stream that blocks read and write: of the whole model, or of a stage
heads       what a product of two activations (queries x keys) is done for one by one
head_dim    what such a product sums over; a rotary embedding ties that of all blocks
value_dim   what values have, where it is not the same
mlp         hidden units, where a block has one kind of them
Others are called by the layer that makes them: "attn_cpb_mlp_0" of a block's "attn.cpb_mlp.0".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import final

from nas.searchspaces.axis_names import EMBED, HEAD_DIM, HEADS, MLP, VALUE_DIM, axis_name, stage
from nas.supernets.derived.algebra import Axis, Dims, elementary, fix
from nas.supernets.derived.blocks import block_of, index_at
from nas.supernets.derived.labels import Labels
from nas.supernets.derived.program import Program

FEED_FORWARD = frozenset({"mlp", "ffn", "feed_forward", "intermediate"})
"""How paths call the part of a block that has the hidden units, where it has several kinds of them."""


@final
class Roles:
    """Names of the axes of one model's parameters, of those that may shrink."""

    def __init__(self, program: Program, labels: Labels, blocks: Mapping[str, str], parameters: Iterable[str]) -> None:
        self._blocks = blocks
        self._staged = any(stage(index) != index for index in blocks)
        self._parameters: dict[Axis, list[str]] = defaultdict(list)
        names = list(parameters)
        # What no parameter has first, and no product of activations with a parameter gives, is made by no layer, but
        # read from a buffer or from the image.
        made = {axis for name in names for dim in labels.state[name][:1] for axis in elementary(dim)}
        made |= {axis for c in labels.contractions if c.learned == (False, True) for axis in _axes(c.columns)}
        for name in names:
            for dim in labels.state[name]:
                fix([axis for axis in elementary(dim) if axis not in made], "no layer makes it")
                for axis in elementary(dim):
                    if not axis.reason and name not in self._parameters[axis]:
                        self._parameters[axis].append(name)
        self._streams = self._of_streams(program, labels)
        self._activations = {axis for node in labels.images for axis in _axes(labels.values[node])}
        products = [c for c in labels.contractions if not any(c.learned)]
        self._heads = {axis for c in products for axis in _axes(c.batch)}
        self._head_dims = {axis for c in products for axis in _axes(c.inner)}
        self._value_dims = {axis for c in products for axis in _axes([*c.rows, *c.columns])} - self._head_dims

    def names(self) -> dict[Axis, str]:
        """A name for each axis, in the order of the parameters."""
        taken: dict[str, list[Axis]] = defaultdict(list)
        for axis in self._parameters:
            taken[axis_name(self._role(axis), self._index(axis))].append(axis)
        names = {axis: name for name, axes in taken.items() if len(axes) == 1 for axis in axes}
        # Several of one role in one place are told apart by the layers that make them.
        for axis in (axis for axes in taken.values() if len(axes) > 1 for axis in axes):
            name, number = axis_name(self._of_layer(axis), self._index(axis)), 2
            while name in names.values():
                name, number = axis_name(f"{self._of_layer(axis)}_{number}", self._index(axis)), number + 1
            names[axis] = name
        return {axis: names[axis] for axis in self._parameters}

    def _role(self, axis: Axis) -> str:
        if axis in self._streams:
            return EMBED
        if role := self._of_attention(axis):
            return role
        hidden = self._hidden(self._places(axis))
        named = [a for a in hidden if FEED_FORWARD & set(self._parameters[a][0].split("."))]
        return MLP if axis in hidden and (len(hidden) == 1 or named == [axis]) else self._of_layer(axis)

    def _hidden(self, places: list[str]) -> list[Axis]:
        """Axes of activations inside one block that belong to no attention and no stream."""
        if len(places) != 1 or not places[0]:
            return []
        others = self._streams | self._heads | self._head_dims | self._value_dims
        return [axis for axis in self._parameters
                if axis not in others and axis in self._activations and self._places(axis) == places]  # fmt: skip

    def _index(self, axis: Axis) -> str:
        """The block that an axis lies in, the stage of several, or nothing."""
        places = [index for index in self._places(axis) if index]
        stages = {stage(index) for index in places}
        of_stage = self._staged and len(stages) == 1
        if axis in self._streams or len(places) > 1:
            return next(iter(stages)) if of_stage else ""
        return places[0] if places and len(self._places(axis)) == 1 else ""

    def _places(self, axis: Axis) -> list[str]:
        """Indices of the blocks whose parameters have an axis; "" for those outside all."""
        return list(dict.fromkeys(index_at(name, self._blocks) for name in self._parameters[axis]))

    def _of_layer(self, axis: Axis) -> str:
        """The path, inside its block, of the first layer that has the axis; of an attention's axis that of the
        attention, and the role.
        """
        parameter = self._parameters[axis][0]
        path = self._blocks.get(index_at(parameter, self._blocks), "")
        inner = parameter.removeprefix(f"{path}.") if path else parameter
        layer = inner.rpartition(".")[0] or inner
        if axis not in self._streams and (role := self._of_attention(axis)):
            layer = f"{layer.rpartition('.')[0]}.{role}".removeprefix(".")
        name = layer.replace(".", "_")
        return f"layer_{name}" if name[0].isdecimal() else name  # of a sequence: names of choices begin with a letter

    def _of_attention(self, axis: Axis) -> str:
        roles = ((self._heads, HEADS), (self._head_dims, HEAD_DIM), (self._value_dims, VALUE_DIM))
        return next((role for axes, role in roles if axis in axes), "")

    def _of_streams(self, program: Program, labels: Labels) -> set[Axis]:
        """Axes of what blocks are given and give, of the activations that cross their borders."""
        places = {node.name: block_of(node, self._blocks) for node in program.nodes()}
        streams = set()
        for node in program.nodes():
            users = {places[user.name] for user in node.users if user.name in places}
            if node.name in labels.images and users - {places[node.name]}:
                streams |= _axes(labels.values[node.name])
        return {axis for axis in streams if axis in self._parameters}


def _axes(dims: list[Dims] | list[list[Dims] | None]) -> set[Axis]:
    """All axes of some dimensions, or of several lists of them."""
    result: set[Axis] = set()
    for dim in dims:
        for item in dim or []:
            result |= set(elementary([item])) if isinstance(item, Axis) else set(elementary(item))
    return result
