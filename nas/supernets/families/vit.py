"""timm's VisionTransformer: ViT, DeiT, DeiT-III, DINOv2, SigLIP, AIMv2: with class, distillation, register tokens,
LayerScale, qk-norm, attention pooling and gated feed-forward networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from timm.layers.hybrid_embed import HybridEmbed
from timm.layers.patch_embed import PatchEmbed
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn
from typing_extensions import override

from nas.searchspaces.axis_names import EMBED
from nas.supernets.families import _patches, _whole_stem
from nas.supernets.families._conv_stem import ConvStemAxes
from nas.supernets.families._plain import PlainTransformer, Stem
from nas.supernets.rows import Row

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 4, "num_classes": 7}
CONVOLUTIONS = {
    "img_size": 33,
    "embed_dim": 48,
    "depth": 3,
    "num_heads": 4,
    "num_classes": 7,
    "stem_channels": [8, 16],
    "stem_strides": [2, 4],
}

HYBRID = {"img_size": 64, "embed_dim": 48, "depth": 3, "num_heads": 4, "num_classes": 7}


@final
class Vit(PlainTransformer):
    """Vision transformers on patches (arXiv 2010.11929, 2012.12877, 2204.07118), on what a few convolutions make
    (arXiv 2106.14881), or on what a whole network makes, such as a ResNet.
    """

    classes = (VisionTransformer, VisionTransformerDistilled)
    parts: ClassVar[Mapping[str, tuple[type[nn.Module], ...]]] = {
        "patch_embed": (PatchEmbed, HybridEmbed),
        "patch_embed.proj": (nn.Conv2d, nn.Identity),
        **PlainTransformer.parts,
    }
    examples = (
        ("vit_tiny_patch16_224", SMALL),
        (
            "vit_tiny_patch16_224",
            SMALL | {"class_token": False, "global_pool": "avg", "in_chans": 1, "qkv_bias": False},
        ),
        ("vit_tiny_patch16_224", SMALL | {"reg_tokens": 2, "qk_norm": True, "init_values": 0.1}),
        ("vit_tiny_patch16_224", SMALL | {"pre_norm": True, "scale_attn_norm": True, "scale_mlp_norm": True}),
        ("deit_tiny_distilled_patch16_224", SMALL),
        ("deit3_small_patch16_224", SMALL),
        ("vit_c_1gf", CONVOLUTIONS),
    )
    further_examples = (
        ("vit_giant_patch14_dinov2", SMALL),
        ("aimv2_large_patch14_224", SMALL),
        ("vit_base_patch16_siglip_224", SMALL | {"dynamic_img_size": True}),
        ("vit_tiny_r_s16_p8_224", HYBRID),
    )

    @override
    def adapted(self, model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By timm: names of DINO, CLIP and DeiT-III, position embeddings and patches of another size."""
        assert isinstance(model, VisionTransformer)
        adapted: dict[str, Tensor] = checkpoint_filter_fn(dict(weights), model, adapt_layer_scale=True)
        return adapted

    @override
    def fixed(self, model: nn.Module) -> Mapping[str, str]:
        """Also the embedding, where a stem that stays whole writes it."""
        embed = _whole(model)
        written = embed is not None and isinstance(embed.proj, nn.Identity)
        by_stem = {EMBED: "its stem, which stays whole, writes the embedding"} if written else {}
        return {**super().fixed(model), **by_stem}

    @override
    def rows_of(self, model: nn.Module) -> tuple[Row, ...]:
        return (*super().rows_of(model), *self._stem_rows(model))

    def _stem_rows(self, model: nn.Module) -> tuple[Row, ...]:
        if isinstance(model.get_submodule("patch_embed"), PatchEmbed):
            return _patches.ROWS
        embed = _whole(model)
        return ConvStemAxes.rows if embed is None else (*_whole_stem.rows(embed), *_whole_stem.PROJECTION)

    @override
    def stem(self, model: nn.Module) -> Stem:
        """One convolution, a few, or a whole network."""
        embed: Any = model.get_submodule("patch_embed")
        if isinstance(embed, PatchEmbed):
            return Stem(_patches.axes(model))
        return ConvStemAxes.stem(embed) if _whole(model) is None else Stem(_whole_stem.axes(embed))


def _whole(model: nn.Module) -> HybridEmbed | None:
    """The stem that makes the tokens of `model`, where it has no axes of its own."""
    embed = model.get_submodule("patch_embed")
    return embed if isinstance(embed, HybridEmbed) and not ConvStemAxes.holds(embed) else None
