"""What follows from a search space's model alone: axis table, costs, input size, what its head reads. The model is
outlined, never allocated, whatever its size.
"""

from __future__ import annotations

import torch
from torch import nn

from nas.errors import ModelError
from nas.searchspaces import SearchSpace
from nas.supernets import Cost, build
from nas.supernets.axes import AxisTable
from nas.supernets.families import family_of
from nas.supernets.families._base import Readout


def table_of(space: SearchSpace) -> AxisTable:
    """The axis table of a space. Raises `ModelError` for a model that cannot become a supernet, as all of these do."""
    model = _outlined(space)
    return family_of(model).table(model, space.axes)


def cost_of(space: SearchSpace) -> Cost:
    """The cost model of a space."""
    return Cost(table_of(space), space)


def image_size_of(space: SearchSpace) -> int:
    """Height and width in pixels of the images that the model takes. Raises `ModelError` when it is not square."""
    model = _outlined(space)
    height, width = family_of(model).image_size(model)
    if height != width:
        raise ModelError(f"{space.model}: its images are {height} x {width}; needed: a square, set model_args.img_size")
    return height


def readout_of(space: SearchSpace) -> Readout:
    """What the head of the model reads."""
    model = _outlined(space)
    return family_of(model).readout(model)


def _outlined(space: SearchSpace) -> nn.Module:
    with torch.device("meta"):
        return build(space.model, space.model_args)
