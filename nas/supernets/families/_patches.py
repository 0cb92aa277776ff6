"""Rows and sizes of timm's `PatchEmbed`: one convolution."""

from __future__ import annotations

from typing import Any

from torch import nn

from nas.supernets.rows import Row

ROWS = (
    Row("patch_embed.proj.weight", "embed channels patch_height patch_width", at="patches"),
    Row("patch_embed.proj.bias", "embed"),
    Row("patch_embed.norm.weight", "embed"),
    Row("patch_embed.norm.bias", "embed"),
)


def axes(model: nn.Module) -> dict[str, int]:
    """Channels, pixels and number of its patches."""
    embed: Any = model.get_submodule("patch_embed")
    height, width = embed.patch_size
    sizes = {"channels": embed.proj.in_channels, "patch_height": height, "patch_width": width}
    return {**sizes, "patches": embed.num_patches}
