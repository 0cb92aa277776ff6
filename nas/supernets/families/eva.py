"""timm's Eva: EVA, EVA-02, DINOv3, Perception Encoder, RoPE-ViT, with rotary embeddings and biases of their own for
queries and values.

Rotary embeddings belong to places and to pairs of head dimensions, and all blocks share them: tokens and, where there
are some, head dimensions stay whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, final

from timm.layers.attention import AttentionRope
from timm.layers.patch_embed import PatchEmbed
from timm.layers.pos_embed_sincos import (
    RotaryEmbeddingCat,
    RotaryEmbeddingDinoV3,
    RotaryEmbeddingMixed,
    RotaryEmbeddingMRope,
)
from timm.models.eva import Eva as TimmEva
from timm.models.eva import EvaAttention, EvaBlock, checkpoint_filter_fn
from torch import Tensor, nn
from typing_extensions import override

from nas.axes import Frame
from nas.searchspaces.axis_names import EMBED, HEAD_DIM, HEADS, POSITIONS
from nas.supernets.families import _beside, _patches
from nas.supernets.families._base import Piece, SizeOf
from nas.supernets.families._plain import PlainTransformer, Stem
from nas.supernets.families._separate import apart
from nas.supernets.rows import Row

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 4, "num_classes": 7}


def _projection(name: str, query: str = "") -> tuple[Row, Row]:
    """Weight and bias of one of the three projections where they are not joint."""
    path, outputs = f"blocks.{{i}}.attn.{name}", "(heads.{i} head_dim.{i})"
    return (
        Row(f"{path}.weight", f"{outputs} qkv_in.{{i}}", at="tokens.{i}", rank="qkv_rank.{i}", query=query),
        Row(f"{path}.bias", outputs, query=query),
    )


@final
class Eva(PlainTransformer):
    """Plain vision transformers whose tokens know their places by rotation (arXiv 2303.11331, 2508.10104, 2403.13298),
    and their forerunners (arXiv 2211.07636).
    """

    classes = (TimmEva,)
    parts: ClassVar[Mapping[str, tuple[type[nn.Module], ...]]] = {
        **PlainTransformer.parts,
        "patch_embed": (PatchEmbed,),
        "blocks.{i}": (EvaBlock,),
        "blocks.{i}.attn": (EvaAttention, AttentionRope),
        "rope": (RotaryEmbeddingCat, RotaryEmbeddingDinoV3, RotaryEmbeddingMixed, RotaryEmbeddingMRope),
    }
    rows = (
        *_patches.ROWS,
        *PlainTransformer.rows,
        *_beside.ROWS,
        *_projection("q_proj", query="head_dim.{i}"),
        *_projection("k_proj"),
        *_projection("v_proj"),
        Row("rope.freqs", "2 rope_blocks rope_heads rope_pairs"),
    )
    examples = ()
    further_examples = (
        ("eva02_small_patch14_224", SMALL | {"ref_feat_shape": (4, 4)}),
        ("eva_giant_patch14_224", SMALL | {"mlp_ratio": 2}),
        ("eva02_large_patch14_clip_224", SMALL),
        ("vit_small_patch16_dinov3", SMALL),
        ("vit_pe_core_tiny_patch16_384", SMALL | {"attn_pool_num_heads": 4}),
        ("vit_small_patch16_rope_mixed_ape_224", SMALL),
    )

    @override
    def adapted(self, model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By timm: names of the published codes, position embeddings and patches of another size."""
        adapted: dict[str, Tensor] = checkpoint_filter_fn(dict(weights), model)
        return adapted

    @override
    def refusal(self, model: nn.Module) -> str:
        blocks: Any = model.get_submodule("blocks")
        if any(getattr(block.attn, "num_kv_groups", 1) > 1 for block in blocks):
            return "several queries for one key (num_kv_heads)"
        return super().refusal(model)

    @override
    def fixed(self, model: nn.Module) -> Mapping[str, str]:
        """Tokens; and what rotations, or biases that belong to no layer, forbid."""
        eva: Any = model
        fixed = dict.fromkeys(POSITIONS, "in this class of timm's every block is given the places of all tokens")
        if eva.rope is not None:
            fixed[HEAD_DIM] = "rotary embeddings turn head dimensions in pairs, the same in all blocks"
        if eva.rope_mixed:
            fixed[HEADS] = "each head has rotary embeddings of its own, which all blocks keep in one tensor"
        return {**fixed, **_beside.fixed(model)}

    @override
    def stem(self, model: nn.Module) -> Stem:
        return Stem(_patches.axes(model))

    @override
    def frame(self, model: nn.Module) -> Frame:
        """Rotary embeddings that are learnt have sizes of their own, which stay."""
        frame = super().frame(model)
        freqs = getattr(getattr(model, "rope", None), "freqs", None)
        _, *learnt = (0, 0, 0, 0) if freqs is None else freqs.shape
        axes = dict(zip(("rope_blocks", "rope_heads", "rope_pairs"), learnt, strict=True))
        return Frame({**frame.axes, **axes}, frame.within, frame.protected, frame.blocks)

    @override
    def reshape(self, model: nn.Module, blocks: Mapping[str, nn.Module], size: SizeOf) -> None:
        """Also attention whose heads are not as wide, together, as its input."""
        super().reshape(model, blocks, size)
        for module in blocks.values():
            block: Any = module
            block.attn = apart(block.attn, size(EMBED))

    @override
    def tokenised(self, model: nn.Module, images: Tensor) -> Tensor:
        eva: Any = model
        tokens: Tensor = eva.norm_pre(eva._pos_embed(eva.patch_embed(images))[0])
        return tokens

    @override
    def block_steps(self, model: nn.Module) -> list[Piece]:
        """Blocks with the places of all tokens."""
        eva: Any = model

        @cache
        def places() -> Tensor | None:
            if eva.rope is None:
                return None
            known = hasattr(eva.rope, "feat_shape") and not eva.dynamic_img_size
            embedded: Tensor = eva.rope.get_embed() if known else eva.rope.get_embed(shape=eva.patch_embed.grid_size)
            return embedded

        def block(index: str, module: nn.Module) -> Callable[[Tensor], Tensor]:
            def run(tokens: Tensor) -> Tensor:
                at = places()
                out: Tensor = module(tokens, rope=at[int(index)] if eva.rope_mixed and at is not None else at)
                return out

            return run

        return [Piece(block(i, module), (f"blocks.{i}", "rope")) for i, module in eva.blocks.named_children()]
