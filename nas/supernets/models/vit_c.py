"""ViT_C (Xiao et al. 2021, arXiv 2106.14881), which timm lacks by name: a vision transformer whose tokens a few
convolutions make, three by three pixels each but for the last one, of one pixel.

All parts are timm's: `ConvStem` in `HybridEmbed`, and `VisionTransformer` behind it. Two arguments are ours,
`stem_channels` and `stem_strides`: one number for each convolution of three by three, which is followed by BatchNorm
and ReLU. Small pictures want a total stride of 4 instead of 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from timm.layers.hybrid_embed import HybridEmbed
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from timm.models.vision_transformer_hybrid import ConvStem

SIZES = {
    "vit_c_1gf": (192, 11, 3, (24, 48, 96, 192)),  # 4.6 M parameters, 1.1 G MACs
    "vit_c_4gf": (384, 11, 6, (48, 96, 192, 384)),  # 17.8 M, 4.0 G
}
"""Name -> width, blocks, heads, channels of the stem's convolutions."""
MLP_RATIO = 3.0


def _register(name: str, embed_dim: int, depth: int, num_heads: int, channels: tuple[int, ...]) -> None:
    """Make a size known to timm, which looks a model up by the name of the function that makes it."""
    sizes = {"embed_dim": embed_dim, "depth": depth, "num_heads": num_heads, "mlp_ratio": MLP_RATIO}

    def make(
        pretrained: bool = False,
        stem_channels: Sequence[int] = channels,
        stem_strides: Sequence[int] = (2,) * len(channels),
        **kwargs: Any,
    ) -> VisionTransformer:
        arguments = {**sizes, **kwargs}
        # The last convolution, of one pixel, is without norm: its outputs are the tokens.
        stem = ConvStem(
            in_chans=arguments.get("in_chans", 3),
            depth=len(stem_channels) + 1,
            channels=(*stem_channels, arguments["embed_dim"]),
            kernel_size=(3,) * len(stem_channels) + (1,),
            stride=(*stem_strides, 1),
        )
        model: VisionTransformer = build_model_with_cfg(
            VisionTransformer,
            name,
            pretrained,
            pretrained_filter_fn=checkpoint_filter_fn,
            feature_cfg={"out_indices": 3, "feature_cls": "getter"},
            patch_size=1,
            embed_layer=partial(HybridEmbed, backbone=stem, proj=False),
            **arguments,
        )
        return model

    make.__name__ = name
    register_model(make)


default_cfgs = generate_default_cfgs(
    {
        name: {
            "url": "",
            "num_classes": 1000,
            "input_size": (3, 224, 224),
            "pool_size": None,
            "crop_pct": 0.875,
            "interpolation": "bicubic",
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
            "first_conv": "patch_embed.backbone.0.conv",
            "classifier": "head",
            "fixed_input_size": True,
        }
        for name in SIZES
    }
)

for _name, _sizes in SIZES.items():
    _register(_name, *_sizes)
