"""timm's SwinTransformer (arXiv 2103.14030): a table of relative positions, norms before the branches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import torch
from timm.layers.mlp import Mlp
from timm.layers.patch_embed import PatchEmbed
from timm.models.swin_transformer import (
    PatchMerging,
    SwinTransformer,
    SwinTransformerBlock,
    WindowAttention,
    checkpoint_filter_fn,
)
from torch import Tensor, nn
from typing_extensions import override

from nas.supernets.families._base import SizeOf
from nas.supernets.families._windows import Windowed
from nas.supernets.rows import Row

OWN_HEAD, FIRST_MERGING = "head.fc.weight", "layers.0.downsample.norm.weight"
SMALL = {"img_size": 56, "embed_dim": 24, "depths": (2, 2), "num_heads": (2, 4), "num_classes": 7}


@final
class Swin(Windowed):
    """Softmax of products, as everywhere."""

    classes = (SwinTransformer,)
    parts: ClassVar[Mapping[str, tuple[type[nn.Module], ...]]] = {
        "patch_embed": (PatchEmbed,),
        "layers.{s}.downsample": (PatchMerging, nn.Identity),
        "layers.{s}.blocks.{b}": (SwinTransformerBlock,),
        "layers.{s}.blocks.{b}.attn": (WindowAttention,),
        "layers.{s}.blocks.{b}.mlp": (Mlp,),
    }
    rows = (
        *Windowed.rows,
        Row("layers.{s}.downsample.norm.weight", "merged.{s}"),
        Row("layers.{s}.downsample.norm.bias", "merged.{s}"),
        Row("layers.{s}.blocks.{b}.norm1.weight", "embed.{s}"),
        Row("layers.{s}.blocks.{b}.norm1.bias", "embed.{s}"),
        Row("layers.{s}.blocks.{b}.attn.relative_position_bias_table", "offsets.{s} heads.{s}.{b}"),
        Row(
            "layers.{s}.blocks.{b}.attn.qkv.weight",
            "(3 heads.{s}.{b} head_dim.{s}.{b}) qkv_in.{s}.{b}",
            at="windowed.{s}",
            rank="qkv_rank.{s}.{b}",
            query="head_dim.{s}.{b}",
        ),
        Row("layers.{s}.blocks.{b}.attn.qkv.bias", "(3 heads.{s}.{b} head_dim.{s}.{b})", query="head_dim.{s}.{b}"),
        Row("layers.{s}.blocks.{b}.norm2.weight", "embed.{s}"),
        Row("layers.{s}.blocks.{b}.norm2.bias", "embed.{s}"),
    )
    examples = (
        ("swin_tiny_patch4_window7_224", SMALL),
        # A grid of 15 x 15 needs padded windows, and windows of 7 on the last stage's 4 x 4 shrink to it.
        ("swin_tiny_patch4_window7_224", SMALL | {"img_size": 60, "depths": (1, 1, 2), "num_heads": (2, 4, 8)}),
    )

    @override
    def reshape(self, model: nn.Module, blocks: Mapping[str, nn.Module], size: SizeOf) -> None:
        """Also the softmax scale per block."""
        super().reshape(model, blocks, size)
        for index, module in blocks.items():
            block: Any = module
            block.attn.scale = size(f"head_dim.{index}") ** -0.5

    @override
    def adapted(self, model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By timm: names of the published code, patches and tables of relative positions of another size."""
        # timm tells the published layout by what its own head is called. A body alone has no head: there it is told by
        # where a stage merges patches, at its end or at the next one's beginning.
        headless = OWN_HEAD not in weights and FIRST_MERGING not in weights
        marked = {**weights, OWN_HEAD: torch.empty(0)} if headless else dict(weights)
        adapted: dict[str, Tensor] = checkpoint_filter_fn(marked, model)
        if headless:
            del adapted[OWN_HEAD]
        return adapted
