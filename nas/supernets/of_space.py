"""What follows from a search space's model alone: axis table, costs, input size, what its head reads. The model is
outlined, never allocated, whatever its size; the first two need no torch for a model that was seen before.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

from nas.axes import AxisTable
from nas.preprocessing import ImageSize, size_of
from nas.searchspaces import SearchSpace
from nas.supernets.anatomy import anatomy
from nas.supernets.cost import Cost

if TYPE_CHECKING:
    from torch import nn

    from nas.supernets.families._base import Family, Readout


def table_of(space: SearchSpace) -> AxisTable:
    """The axis table of a space. Raises `ModelError` for a model that cannot become a supernet, as all of these do."""
    return anatomy(space.model, space.model_args).table.choosing(space.axes)


def cost_of(space: SearchSpace) -> Cost:
    """The cost model of a space."""
    return Cost(table_of(space), space)


def image_size_of(space: SearchSpace) -> ImageSize:
    """Height and width in pixels of the images that the model takes."""
    family, model = _outlined(space)
    return size_of(*family.image_size(model))


def image_of(space: SearchSpace) -> tuple[int, int, int]:
    """Channels, height and width of the images that the model takes."""
    family, model = _outlined(space)
    return family.frame(model).axes["channels"], *family.image_size(model)


def readout_of(space: SearchSpace) -> Readout:
    """What the head of the model reads."""
    family, model = _outlined(space)
    return family.readout(model)


def fingerprint(space: SearchSpace) -> str:
    """Of all that decides what sub-networks of a space compute."""
    choices = [[choice.name, choice.values, choice.sizes] for choice in space.values()]
    text = json.dumps([space.model, dict(space.model_args), choices], sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:32]


def _outlined(space: SearchSpace) -> tuple[Family, nn.Module]:
    from nas.supernets.families import family_of
    from nas.supernets.timm_models import outlined

    model = outlined(space.model, space.model_args)
    return family_of(model), model
