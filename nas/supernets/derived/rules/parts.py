"""Parts of dimensions, and what is put together of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nas.supernets.derived.algebra import cut_in, fix, joined, new, part, unify
from nas.supernets.derived.reading import Call
from nas.supernets.derived.rules._base import replaced, rule


@rule("slice")
def slice_(call: Call) -> Any:
    """Units of one dimension."""
    place = call.along(default=0)
    units = call.input.shape[place]
    start, stop, step = slice(call.get(2, "start"), call.get(3, "end"), call.get(4, "step", 1)).indices(units)
    return replaced(call.dims, place, part(call.dims[place], start, len(range(start, stop, step)), step))


@rule("select", "unbind")
def select(call: Call) -> Any:
    """One unit of a dimension, which must stay where it is."""
    place = call.along(default=0)
    fix(call.dims[place], "its units are named one by one")
    rest = [*call.dims[:place], *call.dims[place + 1 :]]
    return rest if call.name == "select" else [rest] * len(call.output)


@rule("split", "split_with_sizes", "chunk", "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk")
def pieces(call: Call) -> Any:
    """A dimension in consecutive parts."""
    place, dims = call.along(place=2), call.dims
    lengths = [tensor.shape[place] for tensor in call.output]
    if len(set(lengths)) > 1:
        cut_in(dims[place], lengths)
    starts = [sum(lengths[:number]) for number in range(len(lengths))]
    return [
        replaced(dims, place, part(dims[place], start, length)) for start, length in zip(starts, lengths, strict=True)
    ]


@rule("cat")
def cat(call: Call) -> Any:
    """One behind the other along a dimension; the others are the same."""
    tensors = [tensor for tensor in call.get(0, "tensors") if tensor.numel()]
    place = int(call.get(1, "dim", 0)) % tensors[0].dim()
    first, *others = map(call.of, tensors)
    for dims in others:
        for number, (mine, theirs) in enumerate(zip(first, dims, strict=True)):
            if number != place:
                unify(mine, theirs)
    return replaced(first, place, joined([call.of(tensor)[place] for tensor in tensors])) if others else first


@rule("stack")
def stack(call: Call) -> Any:
    """Along a new dimension."""
    tensors: Sequence[Tensor] = call.get(0, "tensors")
    place = int(call.get(1, "dim", 0)) % len(call.shape)
    first = call.of(tensors[0])
    for tensor in tensors[1:]:
        for mine, theirs in zip(first, call.of(tensor), strict=True):
            unify(mine, theirs)
    return [*first[:place], *new([len(tensors)], "a stack of equal parts"), *first[place:]]


@rule("roll", "flip", "cumsum", "sort", "topk", "triu", "tril")
def shifted(call: Call) -> Any:
    """Units have neighbours, so their dimensions stay as they are."""
    named = call.get(2 if call.name.startswith("roll") else 1, "dims", -1)
    for place in named if isinstance(named, list | tuple) else range(call.input.dim()):
        fix(call.dims[place], f"'{call.name}' knows neighbours")
    return [new(tensor.shape, call.name) for tensor in call.outputs] if call.name in ("topk", "sort") else call.dims


@rule("index", "_unsafe_index", "index_select", "embedding", "gather")
def index(call: Call) -> Any:
    """Units looked up by their numbers."""
    if call.name == "embedding":
        fix(call.dims[0], "its units are looked up")
        return [*call.of(call.get(1, "indices")), call.dims[1]]
    if call.name == "index_select":
        place = call.along()
        fix(call.dims[place], "its units are looked up")
        return replaced(call.dims, place, new([call.shape[place]], "looked up")[0])
    named = call.get(1, "indices") if call.name != "gather" else [call.input] * call.input.dim()
    places = [place for place, tensor in enumerate(named) if tensor is not None]
    for place in places:
        fix(call.dims[place], "its units are looked up")
    if call.name == "gather" or any(named[place].dtype == torch.bool for place in places):
        for dim in call.dims:
            fix(dim, "its units are looked up")
        return new(call.shape, "looked up")
    found = max(named[place].dim() for place in places)
    # Looked-up dimensions stand where the first one stood if they are neighbours, else in front.
    front = 0 if places != list(range(places[0], places[-1] + 1)) else places[0]
    rest = [dim for place, dim in enumerate(call.dims) if place not in places]
    return [*rest[:front], *new(call.shape[front : front + found], "looked up"), *rest[front:]]


@rule("glu")
def halves(call: Call) -> Any:
    """One half of a dimension, gated by the other."""
    place = call.along(default=-1)
    units = call.shape[place]
    first, second = (part(call.dims[place], start, units) for start in (0, units))
    unify(first, second)
    return replaced(call.dims, place, first)
