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

from nas.supernets.families import _patches
from nas.supernets.families._conv_stem import ConvStemAxes
from nas.supernets.families._plain import PlainTransformer, Stem

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


@final
class Vit(PlainTransformer):
    """Vision transformers on patches (arXiv 2010.11929, 2012.12877, 2204.07118), or on what a few convolutions make
    (arXiv 2106.14881).
    """

    classes = (VisionTransformer, VisionTransformerDistilled)
    parts: ClassVar[Mapping[str, tuple[type[nn.Module], ...]]] = {
        "patch_embed": (PatchEmbed, HybridEmbed),
        **ConvStemAxes.parts,
        **PlainTransformer.parts,
    }
    rows = (
        *_patches.ROWS,
        *ConvStemAxes.rows,
        *PlainTransformer.rows,
    )
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
    )

    @override
    def adapted(self, model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By timm: names of DINO, CLIP and DeiT-III, position embeddings and patches of another size."""
        assert isinstance(model, VisionTransformer)
        adapted: dict[str, Tensor] = checkpoint_filter_fn(dict(weights), model, adapt_layer_scale=True)
        return adapted

    @override
    def refusal(self, model: nn.Module) -> str:
        embed = model.get_submodule("patch_embed")
        of_stem = ConvStemAxes.refusal(embed) if isinstance(embed, HybridEmbed) else ""
        return of_stem or super().refusal(model)

    @override
    def stem(self, model: nn.Module) -> Stem:
        """One convolution, or a few."""
        embed: Any = model.get_submodule("patch_embed")
        if isinstance(embed, HybridEmbed):
            return ConvStemAxes.stem(embed)
        return Stem(_patches.axes(model))
