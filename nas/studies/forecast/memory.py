"""Bytes that training and measuring a model take, by counting what a forward pass keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

EACH = 16
"""Bytes for each parameter that learns, in float32: its weight, its gradient, two moments."""
PROCESS = 500_000_000
"""Bytes that Python, torch and timm take by themselves: 0.4 to 0.6 GB of resident memory."""


@final
@dataclass(frozen=True)
class Footprint:
    """Of one model, in bytes: its parameters while they learn; what each picture keeps until its gradients are there;
    what each takes where it is only measured.
    """

    parameters: int
    learning: int
    measured: int

    def training(self, batch: int, passes: int = 1, checkpointing: bool = False) -> int:
        """While batches of a size are learnt from, `passes` at once."""
        each = self.measured if checkpointing else self.learning
        return self.parameters + batch * passes * each

    def measuring(self, batch: int) -> int:
        """While batches of a size are looked at."""
        return self.parameters // 4 + batch * self.measured


def footprint(model: nn.Module, inputs: Any, images: Tensor) -> Footprint:
    """Of a plain model that learns from a few `inputs`, as its task gives them of `images` (B x C x H x W)."""
    kept, own = dict[int, int](), {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    largest = 0

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def see(_module: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal largest
        largest = max([largest, *(tensor.nbytes for tensor in [output] if isinstance(tensor, Tensor))])

    model.train()
    with torch.no_grad():
        model(inputs)  # a forward that is captured is captured now, which keeps tensors of its own
    handles = [module.register_forward_hook(see) for module in model.modules()]
    # Whatever is kept stays alive until the end, so that no storage has the address of an earlier one.
    alive: list[Any] = []
    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            alive.append(model(inputs))
    finally:
        for handle in handles:
            handle.remove()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    # A layer reads its input while it writes its output, beside the stream that passes it by.
    return Footprint(EACH * parameters, sum(kept.values()) // len(images), (images.nbytes + 3 * largest) // len(images))
