"""Plain vision transformers: one width and one list of timm's `Block`s throughout, whatever makes the tokens.

Tokens have three axes per block. `tokens` enter the block and serve as keys and values; `queries` (by default the same)
are the rows it computes. They differ where pruned tokens still serve as keys (Patch Slimming, arXiv 2106.02852).
`ffn_tokens` (by default the queries) are those that its feed-forward network runs on.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from timm.layers.attention import Attention
from timm.layers.attention_pool import AttentionPoolLatent
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from typing_extensions import override

from nas.axes import FLOAT_BITS, Frame
from nas.searchspaces.axis_names import POSITIONS
from nas.supernets.families import _latent_pool
from nas.supernets.families._base import MATRICES, AttentionParts, Piece, Readout, SizeOf
from nas.supernets.families._fed import fed
from nas.supernets.families._feed_forward import KINDS, feed_forward_of, mixed, sizes
from nas.supernets.families._patches import OnPatches
from nas.supernets.families._queries import partial
from nas.supernets.rows import Row

POOLS = ("token", "avg", "avgmax", "max", "map")
STEM = ("patch_embed", "cls_token", "dist_token", "reg_token", "pos_embed", "norm_pre")
TAIL = ("norm", _latent_pool.PATH, "fc_norm", "head", "head_dist")
"""What is before the blocks, and after them."""


@dataclass(frozen=True)
class Stem:
    """The axes of what makes tokens, with their sizes; `patches`, the number of tokens that it makes, is one of them.
    `within` says which follow another axis.
    """

    axes: Mapping[str, int]
    within: Mapping[str, str] = field(default_factory=dict)


class PlainTransformer(OnPatches):
    """timm's VisionTransformer and what derives from it without another forward."""

    block = "blocks.{i}"
    rows: ClassVar[tuple[Row, ...]] = (
        Row("cls_token", "1 1 embed"),
        Row("dist_token", "1 1 embed"),
        Row("reg_token", "1 registers embed"),
        Row("pos_embed", "1 positions embed"),
        Row("norm_pre.weight", "embed"),
        Row("norm_pre.bias", "embed"),
        Row("blocks.{i}.norm1.weight", "embed"),
        Row("blocks.{i}.norm1.bias", "embed"),
        Row(
            "blocks.{i}.attn.qkv.weight",
            "(3 heads.{i} head_dim.{i}) qkv_in.{i}",
            at="tokens.{i}",
            rank="qkv_rank.{i}",
            query="head_dim.{i}",
            queries="queries.{i}",
        ),
        Row("blocks.{i}.attn.qkv.bias", "(3 heads.{i} head_dim.{i})", query="head_dim.{i}"),
        Row("blocks.{i}.attn.q_norm.weight", "head_dim.{i}", query="head_dim.{i}"),
        Row("blocks.{i}.attn.q_norm.bias", "head_dim.{i}", query="head_dim.{i}"),
        Row("blocks.{i}.attn.k_norm.weight", "head_dim.{i}"),
        Row("blocks.{i}.attn.k_norm.bias", "head_dim.{i}"),
        Row("blocks.{i}.attn.norm.weight", "(heads.{i} head_dim.{i})"),
        Row("blocks.{i}.attn.norm.bias", "(heads.{i} head_dim.{i})"),
        Row("blocks.{i}.attn.proj.weight", "embed proj_in.{i}", at="queries.{i}", rank="proj_rank.{i}"),
        Row("blocks.{i}.attn.proj.bias", "embed"),
        Row("blocks.{i}.ls1.gamma", "embed"),
        Row("blocks.{i}.norm2.weight", "embed"),
        Row("blocks.{i}.norm2.bias", "embed"),
        Row("blocks.{i}.ls2.gamma", "embed"),
        Row("norm.weight", "embed"),
        Row("norm.bias", "embed"),
        *_latent_pool.ROWS,
        Row("fc_norm.weight", "embed"),
        Row("fc_norm.bias", "embed"),
        Row("head.weight", "classes head_in", at="1"),
        Row("head.bias", "classes"),
        Row("head_dist.weight", "classes head_in", at="1"),
        Row("head_dist.bias", "classes"),
    )
    parts: ClassVar[Mapping[str, tuple[type[nn.Module], ...]]] = {
        "blocks.{i}": (Block,),
        "blocks.{i}.attn": (Attention,),
        "blocks.{i}.mlp": tuple(KINDS),
        _latent_pool.PATH: (AttentionPoolLatent,),
    }
    after_blocks = "norm"
    products: ClassVar[tuple[str, ...]] = ("2 queries.{i} tokens.{i} heads.{i} head_dim.{i}", _latent_pool.PRODUCT)

    @abstractmethod
    def stem(self, model: nn.Module) -> Stem:
        """What makes the tokens of an image."""

    @override
    def hollow(self, model: nn.Module) -> str:
        vit: Any = model
        return "" if len(vit.blocks) else "it has no blocks"

    @override
    def refusal(self, model: nn.Module) -> str:
        """Pooling or attention other than the plain ones."""
        vit: Any = model
        if vit.global_pool not in POOLS:
            return f"global_pool='{vit.global_pool}'; supported: {', '.join(POOLS)}"
        if any(getattr(block.attn, "gate", None) is not None for block in vit.blocks):
            return "gated attention"
        return mixed(model) or _latent_pool.refusal(_pool(model))

    @override
    def elastic(self, model: nn.Module) -> frozenset[str]:
        """All widths, depth, tokens, ranks and bits, but two.

        Not head_dim where the query's norm has no weight to carry the scale, and not tokens where timm already drops
        random ones in training, or where they are `fixed`.
        """
        first = model.get_submodule("blocks.0.attn")
        inputs = {"qkv_in", "proj_in", "fc1_in", "fc2_in", "head_in"}
        of_matrices = {f"{matrix}_{what}" for matrix in MATRICES for what in ("rank", "bits")}
        names = {"embed", "heads", "head_dim", "mlp", "depth", *POSITIONS} | inputs | of_matrices
        q_norm = getattr(first, "q_norm", None)
        # Where head_dim shrinks, the query part of qkv is multiplied by a factor (see `scale_query`). A norm behind it
        # divides the factor out again, so there the norm's weight must carry it.
        bare = not isinstance(q_norm, nn.Identity | None) and getattr(q_norm, "weight", None) is None
        drops = not isinstance(getattr(model, "patch_drop", None), nn.Identity | None)
        inelastic = ({"head_dim"} if bare else set()) | (POSITIONS if drops else set()) | self.fixed(model).keys()
        return frozenset(names - inelastic)

    @override
    def fixed(self, model: nn.Module) -> Mapping[str, str]:
        """Tokens, where the number of them is not known, or all of them are read."""
        vit: Any = model
        if getattr(vit, "dynamic_img_size", False):
            return dict.fromkeys(POSITIONS, "with dynamic_img_size=True tokens have no fixed places")
        if _pool(model) is not None:
            return dict.fromkeys(POSITIONS, "the attention pool (global_pool='map') reads every token")
        return {}

    @override
    def rows_of(self, model: nn.Module) -> tuple[Row, ...]:
        """Those of its feed-forward networks, and what all have."""
        return (*self.rows, *feed_forward_of(model).rows)

    @override
    def feed_forward(self, model: nn.Module) -> tuple[str, ...]:
        return feed_forward_of(model).layers

    @override
    def frame(self, model: nn.Module) -> Frame:
        """Sizes from the model's own attributes."""
        vit: Any = model
        stem = self.stem(model)
        reg_token = getattr(vit, "reg_token", None)
        readout = self.readout(model)
        tokens = readout.prefix + stem.axes["patches"]
        pooled = tokens if getattr(vit, "pool_include_prefix", True) else stem.axes["patches"]
        axes = {
            "embed": vit.embed_dim,
            "registers": 0 if reg_token is None else reg_token.shape[1],
            "positions": 0 if vit.pos_embed is None else vit.pos_embed.shape[1],
            "classes": vit.num_classes,
            "head_in": vit.embed_dim,
            **stem.axes,
            **_latent_pool.axes(_pool(model), pooled),
        }
        within = {"head_in": "embed", **stem.within}
        protected: dict[str, int] = {}
        for i, block in enumerate(vit.blocks):
            width, (hidden, written) = block.attn.proj.in_features, sizes(block)
            axes |= {
                f"heads.{i}": block.attn.num_heads,
                f"head_dim.{i}": width // block.attn.num_heads,
                f"mlp.{i}": hidden,
            }
            axes |= {f"depth.{i}": 1, f"tokens.{i}": tokens, f"queries.{i}": tokens, f"ffn_tokens.{i}": tokens}
            axes |= {f"qkv_in.{i}": vit.embed_dim, f"fc1_in.{i}": vit.embed_dim, f"fc2_in.{i}": hidden}
            # A matrix has at most as many directions as its shorter side.
            axes |= {f"qkv_rank.{i}": min(3 * width, vit.embed_dim), f"proj_rank.{i}": min(width, vit.embed_dim)}
            axes |= {f"fc1_rank.{i}": min(written, vit.embed_dim), f"fc2_rank.{i}": min(hidden, vit.embed_dim)}
            axes |= {f"{matrix}_bits.{i}": FLOAT_BITS for matrix in MATRICES}
            # Inputs select from what is written before them: the embedding, the mixed values, the hidden units.
            within |= {f"qkv_in.{i}": "embed", f"fc1_in.{i}": "embed"}
            axes |= {f"proj_in.{i}": width}
            within |= {f"proj_in.{i}": f"heads.{i} head_dim.{i}"}
            within |= {f"fc2_in.{i}": f"mlp.{i}", f"queries.{i}": f"tokens.{i}", f"ffn_tokens.{i}": f"queries.{i}"}
            protected |= dict.fromkeys((f"tokens.{i}", f"queries.{i}", f"ffn_tokens.{i}"), readout.protected)
        return Frame(axes, within, protected, {str(i): f"blocks.{i}" for i in range(len(vit.blocks))})

    @override
    def reshape(self, model: nn.Module, blocks: Mapping[str, nn.Module], size: SizeOf) -> None:
        """Heads and head dimensions per block, width of the whole."""
        vit: Any = model
        vit.num_features = vit.head_hidden_size = vit.embed_dim = size("embed")
        # Necks and decoders are built from it: an entry for each block that is left, with what it gives.
        vit.feature_info = [vit.feature_info[int(index)] | {"num_chs": vit.embed_dim} for index in blocks]
        if _pool(model) is not None:
            vit.attn_pool = _latent_pool.narrowed(vit.attn_pool)
        for index, module in blocks.items():
            block: Any = module
            attn = block.attn
            attn.num_heads, attn.head_dim = size(f"heads.{index}"), size(f"head_dim.{index}")
            attn.attn_dim = attn.num_heads * attn.head_dim
            attn.scale = attn.head_dim**-0.5

    @override
    def readout(self, model: nn.Module) -> Readout:
        vit: Any = model
        anchors = 2 if getattr(vit, "dist_token", None) is not None else 1
        return Readout(vit.global_pool, vit.num_prefix_tokens, anchors if vit.global_pool == "token" else 0)

    @override
    def attention(self, block: nn.Module) -> AttentionParts:
        plain: Any = block
        attn = plain.attn
        norms = plain.norm1, attn.q_norm, attn.k_norm
        return AttentionParts(attn.qkv, *norms, attn.num_heads, attn.head_dim, attn.scale)

    @override
    def token_order(self, model: nn.Module) -> list[int]:
        """Class and register tokens, then patches, the centre first: what matters is more often in the middle of a
        picture than at its edges.
        """
        height, width = self.grid(model)
        prefix = self.readout(model).prefix

        def distance(patch: int) -> tuple[float, int]:
            """From the centre, squared, in half heights and half widths; equal distances in the order of patches."""
            y, x = divmod(patch, width)
            return ((2 * y - height + 1) / height) ** 2 + ((2 * x - width + 1) / width) ** 2, patch

        return [*range(prefix), *(prefix + patch for patch in sorted(range(height * width), key=distance))]

    @override
    def partial(self, block: nn.Module, index: tuple[int, ...], device: torch.device) -> nn.Module:
        """See `nas.supernets.families._queries`."""
        return partial(block, index, device)

    @override
    def fed(self, block: nn.Module, index: tuple[int, ...], device: torch.device) -> nn.Module:
        """See `nas.supernets.families._fed`."""
        return fed(block, index, device)

    @override
    def steps(self, model: nn.Module) -> list[Piece]:
        """Tokens, blocks, head: see timm's `forward` of each class."""
        vit: Any = model

        def tail(tokens: Tensor) -> Tensor:
            logits: Tensor = vit.forward_head(vit.norm(tokens))
            return logits

        return [Piece(lambda images: self.tokenised(model, images), STEM), *self.block_steps(model), Piece(tail, TAIL)]

    def tokenised(self, model: nn.Module, images: Tensor) -> Tensor:
        """The tokens that the first block of a model sees."""
        vit: Any = model
        tokens: Tensor = vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(images))))
        return tokens

    def block_steps(self, model: nn.Module) -> list[Piece]:
        """One for each block that is there."""
        blocks = model.get_submodule("blocks").named_children()
        return [Piece(block, (f"blocks.{index}",)) for index, block in blocks]


def _pool(model: nn.Module) -> Any:
    """Its attention pool, or None."""
    return getattr(model, "attn_pool", None)
