"""What is made of nothing, and the same dimensions seen otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nas.supernets.derived.algebra import new, reshaped
from nas.supernets.derived.reading import Call
from nas.supernets.derived.rules._base import rule, unknown


@rule("zeros", "ones", "full", "empty", "new_zeros", "new_ones", "new_full", "new_empty", "scalar_tensor",
      "zeros_like", "ones_like", "empty_like", "full_like", "empty_permuted", "empty_strided")  # fmt: skip
def constant(call: Call) -> Any:
    """A tensor whose values are all alike, or drawn afterwards."""
    return new(call.shape)


@rule("clone", "detach", "alias", "_to_copy", "contiguous", "lift_fresh", "lift_fresh_copy", "dropout", "bernoulli",
      "native_dropout", "to", "random", "normal", "uniform", "_conj", "fill", "zero")  # fmt: skip
def same(call: Call) -> Any:
    """Every dimension as it is."""
    return (call.dims, call.dims) if isinstance(call.output, tuple) else call.dims


@rule("view", "_unsafe_view", "reshape", "_reshape_alias", "flatten", "unflatten")
def reshape(call: Call) -> Any:
    """Another grouping of the row of all axes."""
    return reshaped(call.dims, call.shape)


@rule("as_strided")
def restrided(call: Call) -> Any:
    """The same shape in another layout of memory; any other one is not known."""
    return call.dims if call.shape == tuple(call.input.shape) else unknown(call)


@rule("unsqueeze")
def unsqueeze(call: Call) -> Any:
    """A new dimension of one unit."""
    place = int(call.get(1, "dim")) % (call.input.dim() + 1)
    return [*call.dims[:place], [], *call.dims[place:]]


@rule("squeeze")
def squeeze(call: Call) -> Any:
    """Without dimensions of one unit."""
    shape, named = call.input.shape, call.get(1, "dim")
    named = range(len(shape)) if named is None else named if isinstance(named, list | tuple) else [named]
    gone = {place % len(shape) for place in named if shape[place % len(shape)] == 1}
    return [dim for place, dim in enumerate(call.dims) if place not in gone]


@rule("expand")
def expand(call: Call) -> Any:
    """Dimensions of one unit, or new ones, repeated."""
    ahead = len(call.shape) - call.input.dim()
    before = [1] * ahead + list(call.input.shape)
    dims = [*([[]] * ahead), *call.dims]
    return [dim if now == was else new([now])[0] for dim, now, was in zip(dims, call.shape, before, strict=True)]


@rule("repeat")
def repeat(call: Call) -> Any:
    """Every dimension, so many times one behind the other."""
    times: Sequence[int] = call.get(1, "repeats")
    dims = [*([[]] * (len(times) - call.input.dim())), *call.dims]
    return [[*new([number], "repeated")[0], *dim] for number, dim in zip(times, dims, strict=True)]


@rule("permute")
def permute(call: Call) -> Any:
    """In another order."""
    return [call.dims[place] for place in call.get(1, "dims")]


@rule("transpose", "swapaxes", "t")
def transpose(call: Call) -> Any:
    """With two of them exchanged."""
    dims, last = list(call.dims), call.input.dim() - 1
    first, second = (0, last) if call.name == "t" else (call.along("dim0", 1), call.along("dim1", 2))
    if last > 0:
        dims[first], dims[second] = dims[second], dims[first]
    return dims
