"""What operations do with dimensions: a function for each kind of them.

Names are those of torch's dispatched operations, in which all others are written; see `Call` for what a rule is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nas.supernets.derived.algebra import Dims, cut_in, fix, flat, joined, new, part, reshaped, size, unify
from nas.supernets.derived.reading import MADE_INSIDE, Call, Contraction, OperationRule

RULES: dict[str, OperationRule] = {}


def rule(*names: str) -> Callable[[OperationRule], OperationRule]:
    """Let a function be the rule of the operations with these names."""

    def register(function: OperationRule) -> OperationRule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


# What is made of nothing may have any size.


@rule("zeros", "ones", "full", "empty", "new_zeros", "new_ones", "new_full", "new_empty", "scalar_tensor",
      "zeros_like", "ones_like", "empty_like", "full_like", "empty_permuted", "empty_strided")  # fmt: skip
def constant(call: Call) -> Any:
    """A tensor whose values are all alike, or drawn afterwards."""
    return new(call.shape)


# The same dimensions, seen otherwise.


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


# Parts, and what is put together of them.


@rule("slice")
def slice_(call: Call) -> Any:
    """Units of one dimension."""
    place = call.along(default=0)
    units = call.input.shape[place]
    start, stop, step = slice(call.get(2, "start"), call.get(3, "end"), call.get(4, "step", 1)).indices(units)
    return _replaced(call.dims, place, part(call.dims[place], start, len(range(start, stop, step)), step))


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
        _replaced(dims, place, part(dims[place], start, length)) for start, length in zip(starts, lengths, strict=True)
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
    return _replaced(first, place, joined([call.of(tensor)[place] for tensor in tensors])) if others else first


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
        return _replaced(call.dims, place, new([call.shape[place]], "looked up")[0])
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


# Elementwise operations, and those along a dimension.


@rule("pointwise", "copy", "masked_fill", "where", "add", "sub", "mul", "div", "type_as", "_prelu_kernel", "clamp",
      "hardswish", "hardsigmoid", "hardtanh", "relu6", "silu", "mish", "elu", "leaky_relu", "softplus")  # fmt: skip
def pointwise(call: Call) -> Any:
    """Dimensions of all tensors are the same, counted from the back; those of one unit are repeated."""
    result: list[Dims] = [[] for _ in call.shape]
    for tensor in call.tensors:
        _broadcast(call.of(tensor), result)
    return result


@rule("_softmax", "_log_softmax", "softmax", "log_softmax", "_safe_softmax")
def softmax(call: Call) -> Any:
    """Values share a sum: a unit that is left out gives its share to the others."""
    fix(call.dims[call.along()], "a softmax runs over it")
    return call.dims


@rule("mean", "sum", "amax", "amin", "linalg_vector_norm", "norm", "var", "std", "var_mean", "logsumexp", "prod", "max",
      "min", "argmax", "any", "all")  # fmt: skip
def reduce(call: Call) -> Any:
    """Without the dimensions that are reduced, or with one unit in their place."""
    named = call.get(2 if "norm" in call.name else 1, "dim")
    rank, kept = call.input.dim(), len(call.shape) == call.input.dim()
    if isinstance(named, Tensor):  # the greater of two tensors
        return pointwise(call)
    places = named if isinstance(named, list | tuple) and named else range(rank) if named in (None, []) else [named]
    gone = {int(place) % max(rank, 1) for place in places}
    dims = [[] if place in gone else dim for place, dim in enumerate(call.dims) if kept or place not in gone]
    return [dims] * len(call.outputs) if isinstance(call.output, tuple) else dims


@rule("native_layer_norm", "layer_norm", "rms_norm", "_fused_rms_norm")
def layer_norm(call: Call) -> Any:
    """Over the last dimensions, which its weight and bias have too."""
    last = len(call.get(1, "normalized_shape"))
    for tensor in call.tensors[1:]:
        for mine, theirs in zip(call.dims[-last:], call.of(tensor), strict=False):
            unify(mine, theirs)
    return [call.dims, *[None] * (len(call.output) - 1)] if isinstance(call.output, tuple) else call.dims


@rule("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
      "batch_norm", "_batch_norm_impl_index", "native_batch_norm_legit_functional")  # fmt: skip
def batch_norm(call: Call) -> Any:
    """Per channel: weight, bias and running statistics have that dimension."""
    for tensor in call.tensors[1:]:
        if tensor.dim() == 1:
            unify(call.dims[1], call.of(tensor)[0])
    return [call.dims, *[None] * (len(call.output) - 1)] if isinstance(call.output, tuple) else call.dims


@rule("native_group_norm", "group_norm")
def group_norm(call: Call) -> Any:
    """Per group of channels; how many groups there are stays."""
    for tensor in call.tensors[1:]:
        unify(call.dims[1], call.of(tensor)[0])
    number = call.get(6, "group") if call.name == "native_group_norm" else call.get(1, "num_groups")
    groups, _ = reshaped([call.dims[1]], (number, call.input.shape[1] // number))
    fix(groups, "the groups of a norm")
    return [call.dims, None, None] if isinstance(call.output, tuple) else call.dims


# Matrix products.


@rule("mm", "addmm", "bmm", "baddbmm")
def matmul(call: Call) -> Any:
    """The inner dimension of both is one."""
    bias, (left, right) = (None, call.tensors) if len(call.tensors) == 2 else (call.tensors[0], call.tensors[1:])
    a, b = call.of(left), call.of(right)
    unify(a[-1], b[-2])
    if len(a) == 3:
        unify(a[0], b[0])
    _contract(call, (a[:-2], [a[-2]], [a[-1]], [b[-1]]), left, right)
    result = [*a[:-1], list(b[-1])]
    if bias is not None:
        _broadcast(call.of(bias), result)
    return result


@rule("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_fused_attention_overrideable",
      "_scaled_dot_product_efficient_attention", "_scaled_dot_product_flash_attention",
      "_scaled_dot_product_attention_math")  # fmt: skip
def attention(call: Call) -> Any:
    """Queries x keys over the head dimension, then x values over the tokens."""
    query, key, value = call.tensors[:3]
    q, k, v = map(call.of, (query, key, value))
    unify(q[-1], k[-1])
    unify(k[-2], v[-2])
    for places in zip(q[:-2], k[:-2], v[:-2], strict=True):
        unify(places[0], places[1])
        unify(places[0], places[2])
    fix(k[-2], "a softmax runs over it")
    _contract(call, (q[:-2], [q[-2]], [q[-1]], [k[-2]]), query, key)
    _contract(call, (q[:-2], [q[-2]], [k[-2]], [v[-1]]), query, value)
    result = [*q[:-1], v[-1]]
    return [result, *[None] * (len(call.outputs) - 1)] if isinstance(call.output, tuple) else result


@rule("convolution", "conv1d", "conv2d", "conv3d", "_convolution")
def convolution(call: Call) -> Any:
    """Channels are matrix dimensions; with groups, those of both sides are a product that begins with the groups."""
    image, weight, bias = call.input, call.get(1, "weight"), call.get(2, "bias")
    dims, kernel = call.dims, call.of(weight)
    transposed, groups = bool(call.get(6, "transposed", False)), int(call.get(8, "groups", 1))
    inputs, outputs = (kernel[0], kernel[1]) if transposed else (kernel[1], kernel[0])
    for dim in kernel[2:]:
        fix(dim, "the side of a kernel")
    if groups == 1:
        unify(dims[1], inputs)
        number: Dims = []
        made, read = outputs, inputs
    elif transposed:
        fix(dims[1], "the groups of a transposed convolution")
        fix(inputs, "the groups of a transposed convolution")
        fix(outputs, "the groups of a transposed convolution")
        return new(call.shape, "the groups of a transposed convolution")
    else:
        number, read = reshaped([dims[1]], (groups, image.shape[1] // groups))
        of_output, made = reshaped([outputs], (groups, size(outputs) // groups))
        unify(number, of_output)
        unify(read, inputs)
        outputs = [*flat(number), *flat(made)]
    if bias is not None:
        unify(call.of(bias)[0], outputs)
    unchanged = all(side == 1 for side in weight.shape[2:]) and call.shape[2:] == tuple(image.shape[2:])
    grid = dims[2:] if unchanged else new(call.shape[2:], "the places of a grid")
    places = dims[2:] if transposed else grid
    _contract(call, ([number], [dims[0], *places], [read, *kernel[2:]], [made]), image, weight)
    return [dims[0], outputs, *grid]


@rule("constant_pad_nd", "pad", "reflection_pad2d", "replication_pad2d", "max_pool2d_with_indices", "avg_pool2d",
      "_adaptive_avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "max_pool2d", "upsample_bilinear2d",
      "upsample_nearest2d", "upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "avg_pool1d",
      "_upsample_nearest_exact2d", "mean_pool2d")  # fmt: skip
def resize(call: Call) -> Any:
    """Dimensions whose size changes are places of a grid, and stay; the others are as they were."""
    dims = []
    for dim, before, now in zip(call.dims, call.input.shape, call.shape, strict=True):
        if before == now:
            dims.append(dim)
            continue
        fix(dim, "the places of a grid")
        dims.append(new([now], "the places of a grid")[0])
    return [dims] * len(call.outputs) if isinstance(call.output, tuple) else dims


@rule("im2col")
def im2col(call: Call) -> Any:
    """Every place of a grid with its neighbours, which stand behind the channels."""
    neighbours = call.shape[-2] // call.input.shape[-3]
    channels = [*flat(call.dims[-3]), *new([neighbours], "the side of a kernel")[0]]
    return [*call.dims[:-3], channels, *new(call.shape[-1:], "the places of a grid")]


@rule("col2im")
def col2im(call: Call) -> Any:
    """Neighbours, which stand behind the channels, added up at their places."""
    neighbours = call.input.shape[-2] // call.shape[-3]
    channels, inner = reshaped([call.dims[-2]], (call.shape[-3], neighbours))
    fix(inner, "the side of a kernel")
    fix(call.dims[-1], "the places of a grid")
    return [*call.dims[:-2], channels, *new(call.shape[-2:], "the places of a grid")]


@rule("pixel_shuffle", "pixel_unshuffle", "channel_shuffle")
def shuffled(call: Call) -> Any:
    """Channels become places of a grid, or the other way round: their number is that of the slower axes."""
    fewer, more = sorted((call.input.shape[-3], call.shape[-3]))
    channels, inner = reshaped([call.dims[-3]], (call.input.shape[-3] // (more // fewer), more // fewer))
    fix(inner, "neighbours of a grid")
    for dim in call.dims[-2:]:
        fix(dim, "the places of a grid")
    if call.shape[-3] > call.input.shape[-3]:
        channels = [*flat(call.dims[-3]), *new([more // fewer], "neighbours of a grid")[0]]
    return [*call.dims[:-3], channels, *new(call.shape[-2:], "the places of a grid")]


@rule("glu")
def halves(call: Call) -> Any:
    """One half of a dimension, gated by the other."""
    place = call.along(default=-1)
    units = call.shape[place]
    first, second = (part(call.dims[place], start, units) for start in (0, units))
    unify(first, second)
    return _replaced(call.dims, place, first)


def unknown(call: Call) -> Any:
    """What no rule knows: nothing of it may change."""
    for tensor in call.tensors:
        for dim in call.of(tensor):
            fix(dim, f"'{call.name}' is not known")
    reason = f"given by '{call.name}'" if call.tensors else MADE_INSIDE
    outputs = [new(tensor.shape, reason) for tensor in call.outputs]
    return outputs if isinstance(call.output, tuple | list) else outputs[0]


def _contract(
    call: Call, dims: tuple[list[Dims], list[Dims], list[Dims], list[Dims]], left: Tensor, right: Tensor
) -> None:
    learned = call.reader.matrix(left), call.reader.matrix(right)
    call.reader.contractions.append(Contraction(call.reader.place, *dims, learned))


def _broadcast(dims: list[Dims], result: list[Dims]) -> None:
    """Unify dimensions with those of a result, counted from the back; what the result is without it takes."""
    for place, dim in zip(range(len(result) - 1, -1, -1), reversed(dims), strict=False):
        if dim and result[place]:
            unify(dim, result[place])
        elif dim:
            result[place] = list(dim)


def _replaced(dims: list[Dims], place: int, dim: Dims) -> list[Dims]:
    """Dimensions with another one at a place."""
    return [*dims[:place], dim, *dims[place + 1 :]]
