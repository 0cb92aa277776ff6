"""Linear layers in int8: weights by a scale for each output channel, inputs by one for each token.

An input's scale is that of its own token alone (its greatest value), taken anew on every pass. So an output depends on
no other picture of the batch, nothing is calibrated or remembered, and sub-networks of one supernet, whose activations
differ, share nothing that is not a weight. Scales have few enough digits that a product with a whole number of int8 is
exact: rounding what was rounded changes no bit, so that weights may be stored as whole numbers and read again.
Weights per channel and activations per token as in ZeroQuant (arXiv 2206.01861); gradients pass straight through
(arXiv 1308.3432).
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

# Numbers stand in these two functions themselves: torch.jit.script reads no names of a module.


def scales(rows: Tensor) -> Tensor:
    """The scale of each row (rows x n, float32), rows x 1: its greatest value over 127, to 16 digits."""
    # -128 is not used; a row of zeros has a scale, too.
    exact = (rows.detach().abs().amax(-1, keepdim=True) / 127).clamp(min=1e-30)
    # Takes the last 8 of 24 digits away (Veltkamp's splitting): 16 stay, beside the 7 of a whole number.
    split = exact * (2.0**8 + 1)
    return split - (split - exact)


def rounded(x: Tensor) -> Tensor:
    """`x` (... x n), every row of it to the nearest of 255 multiples of its scale; its gradient is that of `x`."""
    rows = x.float()
    scale = scales(rows)
    near = ((rows.detach() / scale).round().clamp(-127, 127) * scale).to(x.dtype)
    # What is added is 0, and has the gradient.
    return near + (x - x.detach()) if x.requires_grad and torch.is_grad_enabled() else near


@final
class RoundedLinear(nn.Linear):
    """A linear layer that computes with its inputs and weights as int8 would have them. It learns as any layer does:
    its own weights are not rounded.
    """

    @override
    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(rounded(input), rounded(self.weight), self.bias)


@final
class MixedLinear(nn.Linear):
    """A linear layer that gives a share of what it computes, and for the rest what it would compute in int8."""

    share: Tensor

    @override
    def forward(self, input: Tensor) -> Tensor:
        plain = functional.linear(input, self.weight, self.bias)
        in_int8 = functional.linear(rounded(input), rounded(self.weight), self.bias)
        return in_int8.lerp(plain, self.share.to(plain))


@final
class Int8Linear(nn.Module):
    """The same with weights that are stored in int8; it computes the same bits, and learns no more.

    weight   int8, outputs x inputs; weight_scale: float32, outputs
    """

    weight: Tensor
    weight_scale: Tensor

    def __init__(self, linear: RoundedLinear) -> None:
        super().__init__()
        weight, scale = stored(linear.weight)
        self.register_buffer("weight", weight)
        self.register_buffer("weight_scale", scale)
        self.bias = linear.bias

    @override
    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(rounded(input), restored(self.weight, self.weight_scale), self.bias)


@torch.no_grad()
def stored(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight (outputs x inputs) as whole numbers, int8, and the scale of each output, float32."""
    scale = scales(weight.float())
    return (rounded(weight.float()) / scale).round().to(torch.int8), scale.squeeze(1)


def restored(weight: Tensor, scale: Tensor) -> Tensor:
    """The way back: the rounded weight, to the last bit."""
    return weight.float() * scale[:, None]
