"""Layers that round, written so that ONNX is computed in whole numbers: inputs and weights are quantised, restored and
multiplied, which onnxruntime makes one product of int8 with sums in int32, and others may make what they have.

Both are unsigned, 128 for 0: of signed weights onnxruntime's kernels for x86 without VNNI add two products in 16 bits,
which overflow, and signed inputs they multiply three times as slowly as floats. What has no such kernels restores both
and computes the same in float32.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from nas.supernets.int8_weights import rounds, with_int8
from nas.supernets.models.int8 import Int8Linear, scales

ZERO = 128
"""The whole number that stands for 0."""
OPSET = 18
"""In which both operators are as they are written here."""


def in_integers(model: nn.Module) -> nn.Module:
    """The model with its rounding layers so written, to export and not to run; it is left alone, and given back itself
    where nothing rounds.
    """
    if not rounds(model):
        return model
    own = with_int8(model)
    for path, layer in list(own.named_modules()):
        if isinstance(layer, Int8Linear):
            own.set_submodule(path, IntegerLinear(layer))
    return own


@final
class IntegerLinear(nn.Module):
    """What an `Int8Linear` computes, but for the order in which sums are made.

    weight   uint8, inputs x outputs; weight_scale: float32, outputs
    """

    weight: Tensor
    weight_scale: Tensor
    zeros: Tensor
    one: Tensor
    zero: Tensor

    def __init__(self, layer: Int8Linear) -> None:
        super().__init__()
        self.register_buffer("weight", (layer.weight.T.int() + ZERO).to(torch.uint8).contiguous())
        self.register_buffer("weight_scale", layer.weight_scale)
        self.register_buffer("zeros", torch.full_like(layer.weight[:, 0], ZERO, dtype=torch.uint8))
        self.register_buffer("one", torch.tensor(1.0))
        self.register_buffer("zero", torch.tensor(ZERO, dtype=torch.uint8))
        self.bias = layer.bias

    @override
    def forward(self, input: Tensor) -> Tensor:
        # ONNX knows a scale for each output, and none for each token: those are taken out before, and put back after.
        rows = input.float()
        scale = scales(rows)
        whole = _operator("QuantizeLinear", (rows / scale, self.one, self.zero), torch.uint8)
        tokens = _operator("DequantizeLinear", (whole, self.one, self.zero), torch.float32)
        weight = _operator("DequantizeLinear", (self.weight, self.weight_scale, self.zeros), torch.float32, axis=1)
        outputs = (tokens @ weight * scale).to(input.dtype)
        return outputs if self.bias is None else outputs + self.bias


def _operator(name: str, inputs: tuple[Tensor, ...], dtype: torch.dtype, **attributes: Any) -> Tensor:
    """A node of the file, whose output has the shape of its first input."""
    return torch.onnx.ops.symbolic(name, inputs, attributes, dtype=dtype, shape=inputs[0].shape, version=OPSET)
