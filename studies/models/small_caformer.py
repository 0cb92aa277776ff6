"""timm's MetaFormer in the small: its functions by name have fixed depths and widths, its class has not."""

from __future__ import annotations

from timm.models.metaformer import Attention, LayerNorm2dNoBias, LayerNormNoBias, MetaFormer, SepConv


def small(in_chans: int = 1, num_classes: int = 10) -> MetaFormer:
    """Two stages of separable convolutions and two of attention, as timm's caformer_s18."""
    return MetaFormer(
        in_chans,
        num_classes,
        depths=(2, 2, 2, 2),
        dims=(16, 24, 32, 64),
        token_mixers=[SepConv, SepConv, Attention, Attention],
        norm_layers=[LayerNorm2dNoBias] * 2 + [LayerNormNoBias] * 2,
    )
