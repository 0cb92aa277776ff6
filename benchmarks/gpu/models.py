"""The supernets that are measured: DeiT-S and Swin-T at 224 pixels; on a machine without a GPU, tiny ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.gpu.machine import Machine
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet
from nas.training.precision import Precision

DEIT_S = """
model: deit_small_patch16_224
choices:
  heads: {size: [2, 3, 4, 5, 6], per: block}
  mlp: {size: [384, 768, 1152, 1536], per: block}
"""
SWIN_T = """
model: swin_tiny_patch4_window7_224
choices:
  heads: {size: [0.34, 0.67, 1.0], per: block}
  mlp: {size: [0.25, 0.5, 0.75, 1.0], per: block}
"""
TINY_VIT = """
model: vit_tiny_patch16_224
model_args: {img_size: 32, patch_size: 8, embed_dim: 32, depth: 2, num_heads: 4}
choices:
  heads: {size: [1, 2, 4], per: block}
  mlp: {size: [0.25, 0.5, 1.0], per: block}
"""
TINY_SWIN = """
model: swin_tiny_patch4_window7_224
model_args: {img_size: 32, patch_size: 4, window_size: 4, embed_dim: 16, depths: [2, 2], num_heads: [2, 4]}
choices:
  heads: {size: [0.5, 1.0], per: block}
  mlp: {size: [0.25, 0.5, 1.0], per: block}
"""


@final
@dataclass(frozen=True)
class Case:
    """A supernet's space, and the images that it is given: `batch` of them, of `size` pixels."""

    name: str
    space: str
    size: int
    batch: int

    def supernet(self, device: torch.device) -> Supernet:
        """On the device, with weights of which none is 0, or left out of the outputs."""
        torch.manual_seed(0)
        space = SearchSpace.from_yaml(self.space)
        net = Supernet(timm.create_model(space.model, **space.model_args), space)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.02)
        return net.to(device)

    def images(self, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Random images, normalised, and their classes."""
        generator = torch.Generator().manual_seed(1)
        images = torch.randn(count, 3, self.size, self.size, generator=generator)
        return images.to(device), (torch.arange(count) % 10).to(device)


def cases(machine: Machine) -> tuple[Case, ...]:
    """What fits the machine."""
    if machine.small:
        return Case("tiny ViT", TINY_VIT, 32, 8), Case("tiny Swin", TINY_SWIN, 32, 8)
    return Case("DeiT-S", DEIT_S, 224, 128), Case("Swin-T", SWIN_T, 224, 128)


def step(
    forward: Callable[[Tensor], Tensor], module: nn.Module, precision: Precision
) -> Callable[[Tensor, Tensor], None]:
    """A training step on images and targets: cross-entropy, AdamW, the forward pass in the given numbers."""
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4)

    def run(images: Tensor, targets: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        with precision.autocast():
            loss = functional.cross_entropy(forward(images), targets)
        loss.backward()
        optimiser.step()

    return run


def freed(machine: Machine) -> Iterator[Case]:
    """The cases, one after the other; the memory of the one before is given back."""
    for case in cases(machine):
        if machine.device.type == "cuda":
            torch.cuda.empty_cache()
        yield case
