"""Elementwise operations, and those along a dimension: sums, softmax, norms."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nas.supernets.derived.algebra import Dims, fix, reshaped, unify
from nas.supernets.derived.reading import Call
from nas.supernets.derived.rules._base import broadcast, rule


@rule("pointwise", "copy", "masked_fill", "where", "add", "sub", "mul", "div", "type_as", "_prelu_kernel", "clamp",
      "hardswish", "hardsigmoid", "hardtanh", "relu6", "silu", "mish", "elu", "leaky_relu", "softplus")  # fmt: skip
def pointwise(call: Call) -> Any:
    """Dimensions of all tensors are the same, counted from the back; those of one unit are repeated."""
    result: list[Dims] = [[] for _ in call.shape]
    for tensor in call.tensors:
        broadcast(call.of(tensor), result)
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
    call.reader.reduced(call.input, gone if rank else (), sums=call.name in ("sum", "linalg_vector_norm", "norm"))
    dims = [[] if place in gone else dim for place, dim in enumerate(call.dims) if kept or place not in gone]
    return [dims] * len(call.outputs) if isinstance(call.output, tuple) else dims


@rule("native_layer_norm", "layer_norm", "rms_norm", "_fused_rms_norm")
def layer_norm(call: Call) -> Any:
    """Over the last dimensions, which its weight and bias have too."""
    last = len(call.get(1, "normalized_shape"))
    call.reader.reduced(call.input, range(-last, 0))
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
    call.reader.reduced(call.input, [1])
    groups, _ = reshaped([call.dims[1]], (number, call.input.shape[1] // number))
    fix(groups, "the groups of a norm")
    return [call.dims, None, None] if isinstance(call.output, tuple) else call.dims
