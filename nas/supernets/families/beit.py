"""timm's Beit: BEiT and BEiT v2, with a table of relative positions in every block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import torch
from timm.layers.patch_embed import PatchEmbed
from timm.models.beit import Attention, Block, checkpoint_filter_fn
from timm.models.beit import Beit as TimmBeit
from torch import Tensor, nn
from typing_extensions import override

from nas.axes import Frame
from nas.searchspaces.axis_names import EMBED, POSITIONS
from nas.supernets.families import _beside, _patches
from nas.supernets.families._base import SizeOf
from nas.supernets.families._own_width import own_width
from nas.supernets.families._plain import PlainTransformer, Stem
from nas.supernets.refusals import refuse_other_grids
from nas.supernets.rows import Row

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 4, "num_classes": 7}
TABLE = "relative_position_bias_table"


@final
class Beit(PlainTransformer):
    """Plain vision transformers whose attention adds what a table says of two places (arXiv 2106.08254, 2208.06366)."""

    classes = (TimmBeit,)
    parts: ClassVar[Mapping[str, tuple[type[nn.Module], ...]]] = {
        **PlainTransformer.parts,
        "patch_embed": (PatchEmbed,),
        "blocks.{i}": (Block,),
        "blocks.{i}.attn": (Attention,),
    }
    rows = (
        *_patches.ROWS,
        *PlainTransformer.rows,
        *_beside.ROWS,
        Row(f"blocks.{{i}}.attn.{TABLE}", "offsets heads.{i}"),
    )
    examples = ()
    further_examples = (("beit_base_patch16_224", SMALL), ("beitv2_base_patch16_224", SMALL | {"global_pool": "token"}))

    @override
    def adapted(self, model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By timm: names of the published code, tables of relative positions and patches of another size."""
        adapted: dict[str, Tensor] = checkpoint_filter_fn(dict(weights), model)
        return adapted

    @override
    def refusal(self, model: nn.Module) -> str:
        beit: Any = model
        if beit.rel_pos_bias is not None:
            return "one table of relative positions for all blocks"
        if beit.global_pool not in ("avg", "token"):
            return f"global_pool='{beit.global_pool}'; supported: avg, token"
        return super().refusal(model)

    @override
    def fixed(self, model: nn.Module) -> Mapping[str, str]:
        places = dict.fromkeys(POSITIONS, "in this class of timm's every block's attention is of all places")
        return {**places, **_beside.fixed(model)}

    @override
    def stem(self, model: nn.Module) -> Stem:
        return Stem(_patches.axes(model))

    @override
    def frame(self, model: nn.Module) -> Frame:
        frame = super().frame(model)
        table = getattr(model.get_submodule("blocks.0.attn"), TABLE)
        offsets = 0 if table is None else table.shape[0]
        return Frame({**frame.axes, "offsets": offsets}, frame.within, frame.protected, frame.blocks)

    @override
    def reshape(self, model: nn.Module, blocks: Mapping[str, nn.Module], size: SizeOf) -> None:
        """Also attention whose heads are not as wide, together, as its input."""
        super().reshape(model, blocks, size)
        for module in blocks.values():
            block: Any = module
            width, zeros = block.attn.attn_dim, block.attn.k_bias
            if width != size(EMBED) or (zeros is not None and len(zeros) != width):
                block.attn = own_width(block.attn, width, ("shared_rel_pos_bias",), "BeitAttention")
                refuse_other_grids(model)

    @override
    def tokenised(self, model: nn.Module, images: Tensor) -> Tensor:
        beit: Any = model
        patches = beit.patch_embed(images)
        tokens = torch.cat((beit.cls_token.expand(patches.shape[0], -1, -1), patches), dim=1)
        dropped: Tensor = beit.pos_drop(tokens if beit.pos_embed is None else tokens + beit.pos_embed)
        return dropped
