"""timm's `PatchEmbed`, one convolution: its rows and sizes, and what a family asks of the layer that makes tokens."""

from __future__ import annotations

from typing import Any

from torch import nn
from typing_extensions import override

from nas.supernets.families._base import Family
from nas.supernets.rows import Row

ROWS = (
    Row("patch_embed.proj.weight", "embed channels patch_height patch_width", at="patches"),
    Row("patch_embed.proj.bias", "embed"),
    Row("patch_embed.norm.weight", "embed"),
    Row("patch_embed.norm.bias", "embed"),
)


def axes(model: nn.Module) -> dict[str, int]:
    """Channels, pixels and number of its patches."""
    embed = _layer(model)
    height, width = embed.patch_size
    sizes = {"channels": embed.proj.in_channels, "patch_height": height, "patch_width": width}
    return {**sizes, "patches": embed.num_patches}


class OnPatches(Family):
    """A family whose models cut images into a grid by a layer called `patch_embed`, of whatever kind."""

    @override
    def image_size(self, model: nn.Module) -> tuple[int, int]:
        height, width = _layer(model).img_size
        return height, width

    @override
    def grid(self, model: nn.Module) -> tuple[int, int]:
        rows, columns = _layer(model).grid_size
        return rows, columns


def _layer(model: nn.Module) -> Any:
    return model.get_submodule("patch_embed")
