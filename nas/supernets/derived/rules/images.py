"""Operations of images: convolutions, pooling, other sizes, neighbours."""

from __future__ import annotations

from typing import Any

from nas.supernets.derived.algebra import Dims, fix, flat, new, reshaped, size, unify
from nas.supernets.derived.reading import Call
from nas.supernets.derived.rules._base import contract, rule


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
    contract(call, ([number], [dims[0], *places], [read, *kernel[2:]], [made]), image, weight)
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
