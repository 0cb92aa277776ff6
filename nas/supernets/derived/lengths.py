"""Constants of a captured graph that are sizes: they follow the axes, so that one graph runs every sub-network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from torch import fx

from nas.axes import Dim
from nas.supernets.derived.program import BATCH

IMAGES = "images"
"""The axis of a batch's images."""
SHAPE_AT = {
    "view": 1, "_unsafe_view": 1, "reshape": 1, "expand": 1, "broadcast_to": 1, "new_zeros": 1, "new_ones": 1,
    "new_full": 1, "new_empty": 1, "zeros": 0, "ones": 0, "full": 0, "empty": 0, "rand": 0, "randn": 0,
}  # fmt: skip
"""Operations that are told a shape -> which argument it is."""
GROUPS_AT = {"conv1d": 6, "conv2d": 6, "conv3d": 6, "convolution": 8}

Dimensions = Mapping[str, Any]
"""Node -> its dimensions, by names of axes; a list of those where it gives several tensors."""


@final
@dataclass(frozen=True)
class Length:
    """A constant that is `times` the units of a dimension, over `of`, those that it has in the whole model."""

    dim: Dim
    times: int = 1
    of: int = 1

    def value(self, size: Callable[[str], int], images: int) -> int:
        """What it is where axes have these sizes, for so many images."""
        units = math.prod(images if atom == IMAGES else size(atom) for atom in self.dim)
        return self.times * units // self.of


def with_lengths(node: fx.Node, dims: Dimensions, full: Callable[[str], int]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments and keywords of a node, with `Length` in the place of every constant that follows an axis. `full` has
    the units of an axis in the whole model.
    """
    arguments: list[Any] = list(node.args)
    keywords = dict(node.kwargs)
    name = _name(node)
    first = node.args[0] if node.args and isinstance(node.args[0], fx.Node) else None
    inputs = dims.get(first.name) if first is not None else None
    outputs = dims.get(node.name)
    if name in SHAPE_AT and outputs is not None:
        arguments[SHAPE_AT[name]] = _lengths(arguments[SHAPE_AT[name]], outputs)
    elif name == "unflatten" and outputs is not None:
        start = arguments[1] % len(inputs or [0])
        arguments[2] = _lengths(arguments[2], outputs[start:])
    elif name in ("split", "split_with_sizes") and inputs is not None and outputs:
        along = _argument(arguments, keywords, 2, "dim", 0) % len(inputs)
        pieces = [piece[along] for piece in outputs]
        whole = isinstance(arguments[1], int)
        arguments[1] = _length(arguments[1], pieces[0]) if whole else _lengths(arguments[1], pieces)
    elif name == "repeat_interleave" and inputs is not None and outputs is not None:
        along = _argument(arguments, keywords, 2, "dim", 0) % len(inputs)
        # What is repeated stands before the repetitions; a dimension of one unit has no axes.
        arguments[1] = _length(arguments[1], outputs[along][len(inputs[along]) if inputs[along] != ("1",) else 0 :])
    elif name == "narrow" and inputs is not None:
        _narrow(arguments, inputs, full)
    elif name == "slice" and inputs is not None:
        _slice(arguments, inputs, full)
    elif name in ("layer_norm", "rms_norm") and outputs is not None:
        arguments[1] = _lengths(arguments[1], outputs[-len(arguments[1]) :])
    elif name in GROUPS_AT and inputs is not None:
        _groups(arguments, GROUPS_AT[name], inputs[1], full)
    elif name == "scaled_dot_product_attention" and inputs is not None and keywords.get("scale") is None:
        # The scale stays that of the whole model when the head dimension shrinks.
        keywords["scale"] = math.prod(map(full, inputs[-1])) ** -0.5
    of_images = fx.node.map_aggregate((tuple(arguments), keywords), _of_images)
    return list(of_images[0]), dict(of_images[1])


def moves(dim: Dim) -> bool:
    """Whether a dimension has other sizes in sub-networks, or with other batches."""
    return not all(atom.isdecimal() for atom in dim)


def _length(constant: Any, dim: Dim) -> Any:
    return Length(dim) if isinstance(constant, int) and constant != -1 and moves(dim) else constant


def _lengths(constants: Sequence[Any], dims: Sequence[Dim]) -> list[Any]:
    return [_length(constant, dim) for constant, dim in zip(constants, dims, strict=False)]


def _slice(arguments: list[Any], inputs: Sequence[Dim], full: Callable[[str], int]) -> None:
    """Both ends of a slice, as shares of the dimension."""
    along = (arguments[1] if len(arguments) > 1 else 0) % len(inputs)
    dim = inputs[along]
    if not moves(dim) or IMAGES in dim:
        return
    units = math.prod(map(full, dim))
    step = arguments[4] if len(arguments) > 4 else 1
    for place in (2, 3):
        end = arguments[place] if len(arguments) > place else None
        # A start below the step is an offset; an end behind everything stays behind everything.
        if end is not None and (step if place == 2 else 0) <= abs(end) < units and end != 0:
            arguments[place] = Length(dim, end % units, units)


def _narrow(arguments: list[Any], inputs: Sequence[Dim], full: Callable[[str], int]) -> None:
    """Start and length, as shares of the dimension."""
    dim = inputs[arguments[1] % len(inputs)]
    if moves(dim) and IMAGES not in dim:
        units = math.prod(map(full, dim))
        arguments[2:4] = [Length(dim, constant, units) for constant in (arguments[2] % units, arguments[3])]


def _groups(arguments: list[Any], place: int, channels: Dim, full: Callable[[str], int]) -> None:
    """The groups of a convolution are the first axes of its channels."""
    groups = arguments[place] if len(arguments) > place else 1
    first: list[str] = []
    while math.prod(map(full, first)) < groups:
        first.append(channels[len(first)])
    if groups > 1 and moves(tuple(first)):
        arguments[place] = Length(tuple(first))


def _of_images(constant: Any) -> Any:
    """Numbers of images that are left."""
    of_batch = isinstance(constant, int) and not isinstance(constant, bool) and constant > 0 and not constant % BATCH
    return Length((IMAGES,), constant // BATCH) if of_batch else constant


def _argument(arguments: list[Any], keywords: Mapping[str, Any], place: int, name: str, default: Any) -> Any:
    return arguments[place] if len(arguments) > place else keywords.get(name, default)


def _name(node: fx.Node) -> str:
    packet: Any = getattr(node.target, "overloadpacket", node.target)
    return str(getattr(packet, "__name__", packet))
