"""The supernets that the benchmarks run: DeiT-Ti and Swin-T at 224 pixels, with halves of heads and hidden units."""

from __future__ import annotations

import timm
import torch

from nas.searchspaces import Architecture, Limit, SearchSpace
from nas.supernets import Supernet

SPACES = {
    "DeiT-Ti": """
model: deit_tiny_patch16_224
choices:
  heads: {size: [1, 2, 3]}
  mlp: {size: [192, 384, 576, 768]}
""",
    "Swin-T": "model: swin_tiny_patch4_window7_224\nchoices:\n  alpha: {divide: [heads, mlp], by: [1, 2, 4, 8]}\n",
}


def supernet(name: str) -> Supernet:
    torch.manual_seed(0)
    space = SearchSpace.from_yaml(SPACES[name])
    return Supernet(timm.create_model(space.model), space)


def half(net: Supernet) -> Architecture:
    """The architecture nearest to the whole one within half the MACs: one that fills the budget."""
    return net.space.nearest(net.space.largest, Limit(net.cost, macs="50%"))
