"""Facts of a search space that follow from its model alone: costs and input size. Nothing is allocated, whatever the
model's size.
"""

from __future__ import annotations

import torch
from torch import nn

from nas.errors import ModelError
from nas.searchspaces import SearchSpace
from nas.supernets import Cost, build
from nas.supernets.families import family_of


def cost_of(space: SearchSpace) -> Cost:
    """The cost model of a space. Raises `ModelError` for a model that cannot become a supernet."""
    model = _outlined(space)
    return Cost(family_of(model).table(model, space.axes), space)


def image_size_of(space: SearchSpace) -> int:
    """Height and width in pixels of the images that the model takes. Raises `ModelError` when it is not square."""
    height, width = _outlined(space).patch_embed.img_size  # type: ignore[union-attr, misc]
    if height != width:
        raise ModelError(f"{space.model}: its images are {height} x {width}; needed: a square, set model_args.img_size")
    return int(height)


def _outlined(space: SearchSpace) -> nn.Module:
    with torch.device("meta"):
        return build(space.model, space.model_args)
