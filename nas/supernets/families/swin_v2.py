"""timm's SwinTransformerV2 (arXiv 2111.09883): cosine attention, relative positions through a small network, norms
behind the branches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from timm.layers.mlp import Mlp
from timm.layers.patch_embed import PatchEmbed
from timm.models.swin_transformer_v2 import (
    PatchMerging,
    SwinTransformerV2,
    SwinTransformerV2Block,
    WindowAttention,
    checkpoint_filter_fn,
)
from torch import Tensor, nn
from typing_extensions import override

from nas.supernets.families._base import SizeOf
from nas.supernets.families._own_width import own_width
from nas.supernets.families._windows import Windowed
from nas.supernets.refusals import refuse_other_grids
from nas.supernets.rows import Row

SMALL = {
    "img_size": 64,
    "embed_dim": 24,
    "depths": (2, 2),
    "num_heads": (2, 4),
    "num_classes": 7,
    "window_size": 8,
    "pretrained_window_sizes": (0, 0),
}
BLOCK = "layers.{s}.blocks.{b}"
QKV, OUTPUTS = f"{BLOCK}.attn.qkv.weight", "(heads.{s}.{b} head_dim.{s}.{b})"
NORMS = ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias")
POSITIONS = 512
"""Hidden units of the network that makes biases of relative positions."""


@final
class SwinV2(Windowed):
    """Heads are compared by the cosine, so that no scale follows their dimension."""

    classes = (SwinTransformerV2,)
    parts: ClassVar[Mapping[str, tuple[type[nn.Module], ...]]] = {
        "patch_embed": (PatchEmbed,),
        "layers.{s}.downsample": (PatchMerging, nn.Identity),
        BLOCK: (SwinTransformerV2Block,),
        f"{BLOCK}.attn": (WindowAttention,),
        f"{BLOCK}.mlp": (Mlp,),
    }
    rows = (
        *Windowed.rows,
        Row("layers.{s}.downsample.norm.weight", "embed.{s}"),
        Row("layers.{s}.downsample.norm.bias", "embed.{s}"),
        Row(f"{BLOCK}.attn.logit_scale", "heads.{s}.{b} 1 1"),
        Row(f"{BLOCK}.attn.cpb_mlp.0.weight", f"{POSITIONS} 2", at="offsets.{s}"),
        Row(f"{BLOCK}.attn.cpb_mlp.0.bias", f"{POSITIONS}"),
        Row(f"{BLOCK}.attn.cpb_mlp.2.weight", f"heads.{{s}}.{{b}} {POSITIONS}", at="offsets.{s}"),
        Row(QKV, "(3 heads.{s}.{b} head_dim.{s}.{b}) qkv_in.{s}.{b}", at="windowed.{s}", rank="qkv_rank.{s}.{b}"),
        Row(f"{BLOCK}.attn.q_bias", OUTPUTS, matrix=QKV),
        Row(f"{BLOCK}.attn.v_bias", OUTPUTS, matrix=QKV),
        *(Row(f"{BLOCK}.{norm}", "embed.{s}", adds=True) for norm in NORMS),
    )
    examples = ()
    further_examples = (("swinv2_tiny_window8_256", SMALL),)

    @override
    def refusal(self, model: nn.Module) -> str:
        swin: Any = model
        if swin.dynamic_img_size:
            return "dynamic_img_size=True: its cost depends on the image; build it for one img_size"
        return super().refusal(model)

    @override
    def fixed(self, model: nn.Module) -> Mapping[str, str]:
        reason = "queries and values have biases beside their layer, which must stay one layer"
        swin: Any = model
        biased = swin.layers[0].blocks[0].attn.q_bias is not None
        return dict.fromkeys(("qkv_in", "qkv_rank", "qkv_bits"), reason) if biased else {}

    @override
    def elastic(self, model: nn.Module) -> frozenset[str]:
        return super().elastic(model).difference(self.fixed(model))

    @override
    def reshape(self, model: nn.Module, blocks: Mapping[str, nn.Module], size: SizeOf) -> None:
        """Also attention whose heads are not as wide, together, as its input."""
        super().reshape(model, blocks, size)
        for index, module in blocks.items():
            block: Any = module
            width = block.attn.num_heads * size(f"head_dim.{index}")
            zeros = block.attn.k_bias
            if width != block.dim or (zeros is not None and len(zeros) != width):
                absent = ("mask",) if block.attn_mask is None else ()
                block.attn = own_width(block.attn, width, absent, "WindowAttention")
                refuse_other_grids(model)

    @override
    def adapted(self, model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By timm: names of the published code, patches of another size."""
        adapted: dict[str, Tensor] = checkpoint_filter_fn(dict(weights), model)
        return adapted
