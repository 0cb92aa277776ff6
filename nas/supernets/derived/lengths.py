"""Constants of a captured graph that are sizes: they follow the axes, so that one graph runs every sub-network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import fx

from nas.axes import Dim
from nas.axes.sizes import JOIN
from nas.supernets.derived.program import BATCH

IMAGES = "images"
"""The axis of a batch's images."""
SHAPE_AT = {
    "view": 1, "_unsafe_view": 1, "reshape": 1, "expand": 1, "broadcast_to": 1, "new_zeros": 1, "new_ones": 1,
    "new_full": 1, "new_empty": 1, "zeros": 0, "ones": 0, "full": 0, "empty": 0, "rand": 0, "randn": 0,
}  # fmt: skip
"""Operations that are told a shape -> which argument it is."""
Dimensions = Mapping[str, Any]
"""Node -> its dimensions, by names of axes; a list of those where it gives several tensors."""
Full = Callable[[str], int]
"""Units of what stands in one place of a dimension, in the whole model."""


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


@final
@dataclass
class Invocation:
    """An operation that is told constants: `inputs` are dimensions of its first argument, `outputs` those of what it
    gives.
    """

    target: Any
    arguments: list[Any]
    keywords: dict[str, Any]
    inputs: Any
    outputs: Any
    full: Full

    def along(self, place: int) -> int:
        """Which dimension of the first argument the argument at a place names, or the keyword "dim"."""
        named = self.arguments[place] if len(self.arguments) > place else self.keywords.get("dim", 0)
        return int(named) % len(self.inputs)


def with_lengths(node: fx.Node, dims: Dimensions, full: Full) -> tuple[Any, list[Any], dict[str, Any]]:
    """Target, arguments and keywords of a node, with `Length` in the place of every constant that follows an axis.
    `full` has the units of an axis in the whole model.
    """
    first = node.args[0] if node.args and isinstance(node.args[0], fx.Node) else None
    inputs = dims.get(first.name) if first is not None else None
    call = Invocation(node.target, list(node.args), dict(node.kwargs), inputs, dims.get(node.name), full)
    name = _packet(node.target)
    if name in SHAPE_AT and call.outputs is not None:
        place = SHAPE_AT[name]
        call.arguments[place] = _lengths(call.arguments[place], call.outputs)
    elif name in FOLLOWING and call.inputs is not None and call.outputs is not None:
        FOLLOWING[name](call)
    of_images = fx.node.map_aggregate((tuple(call.arguments), call.keywords), _of_images)
    return call.target, list(of_images[0]), dict(of_images[1])


def moves(dim: Dim) -> bool:
    """Whether a dimension has other sizes in sub-networks, or with other batches."""
    return not all(atom.isdecimal() for atom in dim)


def _length(constant: Any, dim: Dim) -> Any:
    return Length(dim) if isinstance(constant, int) and constant != -1 and moves(dim) else constant


def _lengths(constants: Sequence[Any], dims: Sequence[Dim]) -> list[Any]:
    return [_length(constant, dim) for constant, dim in zip(constants, dims, strict=False)]


def _unflatten(call: Invocation) -> None:
    call.arguments[2] = _lengths(call.arguments[2], call.outputs[call.along(1) :])


def _pieces(call: Invocation) -> None:
    """Lengths of parts, or one for all. Parts that are as long in the whole model need not be in others."""
    along = call.along(2)
    pieces = [piece[along] for piece in call.outputs]
    if not isinstance(call.arguments[1], int):
        call.arguments[1] = _lengths(call.arguments[1], pieces)
    elif len(set(pieces)) > 1:
        lengths = [_length(math.prod(map(call.full, piece)), piece) for piece in pieces]
        call.target, call.keywords = torch.ops.aten.split_with_sizes.default, {}
        call.arguments = [call.arguments[0], lengths, along]
    elif _packet(call.target) != "chunk":
        call.arguments[1] = _length(call.arguments[1], pieces[0])


def _repetitions(call: Invocation) -> None:
    """What is repeated stands before the repetitions; a dimension of one unit has no axes."""
    along = call.along(2)
    before = call.inputs[along]
    call.arguments[1] = _length(call.arguments[1], call.outputs[along][len(before) if before != ("1",) else 0 :])


def _narrow(call: Invocation) -> None:
    along = call.along(1)
    dim, start = call.inputs[along], call.arguments[2]
    if start and moves(dim):
        call.arguments[2] = _first(dim, start, call.full)
    call.arguments[3] = _length(call.arguments[3], call.outputs[along])


def _slice(call: Invocation) -> None:
    """Both ends of a slice."""
    dim = call.inputs[call.along(1)]
    if not moves(dim) or IMAGES in dim:
        return
    arguments, units = call.arguments, math.prod(map(call.full, dim))
    step = arguments[4] if len(arguments) > 4 else 1
    for place in (2, 3):
        end = arguments[place] if len(arguments) > place else None
        # A start below the step is an offset; an end behind everything stays behind everything.
        if end is not None and (step if place == 2 else 0) <= abs(end) < units and end != 0:
            arguments[place] = _first(dim, end % units, call.full)


def _first(dim: Dim, units: int, full: Full) -> Length:
    """So many first units of a dimension: a share of it, or the first of what stands there one behind the other."""
    packs, inner = dim[0].split(JOIN), dim[1:]
    ahead = (JOIN.join(packs[:number]) for number in range(1, len(packs)))
    ends = (pack for pack in ahead if full(pack) * math.prod(map(full, inner)) == units)
    return next((Length((pack, *inner)) for pack in ends), Length(dim, units, math.prod(map(full, dim))))


def _norm(call: Invocation) -> None:
    call.arguments[1] = _lengths(call.arguments[1], call.outputs[-len(call.arguments[1]) :])


def _groups(place: int) -> Callable[[Invocation], None]:
    """The groups of a convolution are the first axes of its channels."""

    def follow(call: Invocation) -> None:
        groups = call.arguments[place] if len(call.arguments) > place else 1
        first: list[str] = []
        while math.prod(map(call.full, first)) < groups:
            first.append(call.inputs[1][len(first)])
        if groups > 1 and moves(tuple(first)):
            call.arguments[place] = Length(tuple(first))

    return follow


def _scale(call: Invocation) -> None:
    """The scale stays that of the whole model when the head dimension shrinks."""
    if call.keywords.get("scale") is None:
        call.keywords["scale"] = math.prod(map(call.full, call.inputs[-1])) ** -0.5


def _of_images(constant: Any) -> Any:
    """Numbers of images that are left."""
    of_batch = isinstance(constant, int) and not isinstance(constant, bool) and constant > 0 and not constant % BATCH
    return Length((IMAGES,), constant // BATCH) if of_batch else constant


def _packet(target: Any) -> str:
    packet: Any = getattr(target, "overloadpacket", target)
    return str(getattr(packet, "__name__", packet))


FOLLOWING: Mapping[str, Callable[[Invocation], None]] = {
    "unflatten": _unflatten, "split": _pieces, "split_with_sizes": _pieces, "chunk": _pieces, "narrow": _narrow,
    "repeat_interleave": _repetitions, "slice": _slice, "layer_norm": _norm, "rms_norm": _norm,
    "conv1d": _groups(6), "conv2d": _groups(6), "conv3d": _groups(6), "convolution": _groups(8),
    "scaled_dot_product_attention": _scale,
}  # fmt: skip
"""Operations that are told other constants -> what puts lengths in their place."""
