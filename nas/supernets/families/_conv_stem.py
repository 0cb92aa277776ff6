"""The axes of timm's `ConvStem` in a `HybridEmbed`: convolutions one after the other, whose last writes the embedding.

The stem stays whole, but for the channels that it writes where `embed` is elastic.
"""

from __future__ import annotations

from typing import Any, ClassVar

from timm.layers.conv_bn_act import ConvNormAct
from timm.layers.hybrid_embed import HybridEmbed
from timm.layers.norm_act import BatchNormAct2d
from timm.models.vision_transformer_hybrid import ConvStem
from torch import nn

from nas.supernets.families._plain import Stem
from nas.supernets.rows import Row

PATH = "patch_embed.backbone"


class ConvStemAxes:
    """Rows and sizes; axes carry the number of their convolution."""

    rows: ClassVar[tuple[Row, ...]] = (
        Row(f"{PATH}.{{j}}.conv.weight", "stem.{j} stem_in.{j} stem_height.{j} stem_width.{j}", at="stem_grid.{j}"),
        Row(f"{PATH}.{{j}}.conv.bias", "stem.{j}"),
        Row(f"{PATH}.{{j}}.bn.weight", "stem.{j}"),
        Row(f"{PATH}.{{j}}.bn.bias", "stem.{j}"),
    )

    @staticmethod
    def holds(embed: HybridEmbed) -> bool:
        """Whether this is its stem: plain convolutions, and no projection behind them, whose inputs would be the
        stem's channels.
        """
        return (
            type(embed.backbone) is ConvStem
            and isinstance(embed.proj, nn.Identity)
            and all(_plain(layer) for layer in embed.backbone.children())
        )

    @staticmethod
    def stem(embed: HybridEmbed) -> Stem:
        """Sizes of all convolutions; the channels of the last one are the embedding."""
        height, width = embed.img_size
        axes = {"patches": embed.num_patches, "channels": embed.in_chans}
        layers: list[Any] = list(embed.backbone.children())
        for j, layer in enumerate(layers):
            conv = layer.conv
            height, width = (
                (side + 2 * padding - kernel) // stride + 1
                for side, padding, kernel, stride in zip(
                    (height, width), conv.padding, conv.kernel_size, conv.stride, strict=True
                )
            )
            axes |= {f"stem.{j}": conv.out_channels, f"stem_in.{j}": conv.in_channels, f"stem_grid.{j}": height * width}
            axes |= {f"stem_height.{j}": conv.kernel_size[0], f"stem_width.{j}": conv.kernel_size[1]}
        return Stem(axes, {f"stem.{len(layers) - 1}": "embed"})


def _plain(layer: nn.Module) -> bool:
    return type(layer) is ConvNormAct and type(layer.bn) in (BatchNormAct2d, nn.Sequential)
