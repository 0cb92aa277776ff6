"""The supernets that the benchmarks run: DeiT-Ti and Swin-T at 224 pixels, with the widths of our own spaces."""

from __future__ import annotations

from pathlib import Path

import timm
import torch

from nas.searchspaces import Architecture, Limit, SearchSpace
from nas.supernets import Supernet

SPACES = {"DeiT-Ti": "deit_tiny.yaml", "Swin-T": "swin_tiny.yaml"}
FOLDER = Path(__file__).parents[1] / "searchspaces"


def supernet(name: str) -> Supernet:
    torch.manual_seed(0)
    space = SearchSpace.from_yaml(FOLDER / SPACES[name])
    return Supernet(timm.create_model(space.model), space)


def half(net: Supernet) -> Architecture:
    """The architecture nearest to the whole one within half the MACs: one that fills the budget."""
    return net.space.nearest(net.space.largest, Limit(net.cost, macs="50%"))
