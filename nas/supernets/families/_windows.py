"""Hierarchical transformers with shifted windows: what timm's two Swin classes share.

Attention runs on windows, padding included, the MLP on the grid; both are fixed by the image size. Each stage's width,
heads, head dimensions, hidden units, depth, ranks and bits are elastic. Tokens are not: a window needs all of its
positions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from typing_extensions import override

from nas.axes import FLOAT_BITS, Frame
from nas.searchspaces.axis_names import stage as stage_of
from nas.supernets.families._base import MATRICES, Piece, Readout, SizeOf
from nas.supernets.families._patches import OnPatches
from nas.supernets.families._patches import axes as patch_axes
from nas.supernets.rows import Row

POOLS = ("avg", "max", "avgmax")


class Windowed(OnPatches):
    """Four stages of window attention; an index is "stage.block"."""

    block = "layers.{s}.blocks.{b}"
    rows: ClassVar[tuple[Row, ...]] = (
        Row("patch_embed.proj.weight", "embed.0 channels patch_height patch_width", at="patches"),
        Row("patch_embed.proj.bias", "embed.0"),
        Row("patch_embed.norm.weight", "embed.0"),
        Row("patch_embed.norm.bias", "embed.0"),
        Row("layers.{s}.downsample.reduction.weight", "embed.{s} merging_in.{s}", at="grid.{s}"),
        Row(
            "layers.{s}.blocks.{b}.attn.proj.weight",
            "embed.{s} proj_in.{s}.{b}",
            at="windowed.{s}",
            rank="proj_rank.{s}.{b}",
        ),
        Row("layers.{s}.blocks.{b}.attn.proj.bias", "embed.{s}"),
        Row(
            "layers.{s}.blocks.{b}.mlp.fc1.weight",
            "mlp.{s}.{b} fc1_in.{s}.{b}",
            at="grid.{s}",
            rank="fc1_rank.{s}.{b}",
        ),
        Row("layers.{s}.blocks.{b}.mlp.fc1.bias", "mlp.{s}.{b}"),
        Row("layers.{s}.blocks.{b}.mlp.fc2.weight", "embed.{s} fc2_in.{s}.{b}", at="grid.{s}", rank="fc2_rank.{s}.{b}"),
        Row("layers.{s}.blocks.{b}.mlp.fc2.bias", "embed.{s}"),
        Row("norm.weight", "features"),
        Row("norm.bias", "features"),
        Row("head.fc.weight", "classes head_in", at="1"),
        Row("head.fc.bias", "classes"),
    )
    after_blocks = "norm"
    products: ClassVar[tuple[str, ...]] = ("2 windowed.{s} window.{s} heads.{s}.{b} head_dim.{s}.{b}",)

    @override
    def hollow(self, model: nn.Module) -> str:
        stages: Any = model.get_submodule("layers")
        if not all(len(stage.blocks) for stage in stages):
            return "a stage without blocks"
        if not all(min(stage.blocks[0].input_resolution) for stage in stages):
            return "an image smaller than a patch"
        return ""

    @override
    def refusal(self, model: nn.Module) -> str:
        """Pooling that leaves a map."""
        pool = getattr(model, "global_pool", "")
        return "" if pool in POOLS else f"global_pool='{pool}'; supported: {', '.join(POOLS)}"

    @override
    def elastic(self, model: nn.Module) -> frozenset[str]:
        """Widths of stages and inside the blocks, depth, ranks and bits."""
        inputs = {"qkv_in", "proj_in", "fc1_in", "fc2_in", "merging_in", "head_in"}
        of_matrices = {f"{matrix}_{what}" for matrix in MATRICES for what in ("rank", "bits")}
        return frozenset({"embed", "heads", "head_dim", "mlp", "depth"} | inputs | of_matrices)

    @override
    def feed_forward(self, model: nn.Module) -> tuple[str, ...]:
        return ("mlp.fc1", "mlp.fc2")

    @override
    def frame(self, model: nn.Module) -> Frame:
        """Sizes from the model's own attributes; windows as timm lays them, padded to whole ones."""
        swin: Any = model
        axes = {
            **patch_axes(swin),
            "features": swin.num_features,
            "classes": swin.num_classes,
            "head_in": swin.num_features,
        }
        within = {"head_in": "features", "features": f"embed.{len(swin.layers) - 1}"}
        paths: dict[str, str] = {}
        for s, layer in enumerate(swin.layers):
            axes |= _stage_axes(s, layer)
            if f"merged.{s}" in axes:
                # Four neighbours side by side, each with the whole width of the stage before.
                within |= dict.fromkeys((f"merged.{s}", f"merging_in.{s}"), f"4 embed.{s - 1}")
            for b, block in enumerate(layer.blocks):
                i, width, hidden = f"{s}.{b}", block.attn.proj.in_features, block.mlp.fc1.out_features
                heads = block.attn.num_heads
                axes |= {f"heads.{i}": heads, f"head_dim.{i}": width // heads, f"mlp.{i}": hidden, f"depth.{i}": 1}
                axes |= {f"qkv_in.{i}": block.dim, f"fc1_in.{i}": block.dim, f"fc2_in.{i}": hidden}
                axes |= {f"qkv_rank.{i}": min(3 * width, block.dim), f"proj_rank.{i}": min(width, block.dim)}
                axes |= {f"fc1_rank.{i}": min(hidden, block.dim), f"fc2_rank.{i}": min(hidden, block.dim)}
                axes |= {f"{matrix}_bits.{i}": FLOAT_BITS for matrix in MATRICES}
                within |= {f"qkv_in.{i}": f"embed.{s}", f"fc1_in.{i}": f"embed.{s}", f"fc2_in.{i}": f"mlp.{i}"}
                axes |= {f"proj_in.{i}": width}
                within |= {f"proj_in.{i}": f"heads.{i} head_dim.{i}"}
                paths[i] = f"layers.{s}.blocks.{b}"
        return Frame(axes, within, {}, paths)

    @override
    def reshape(self, model: nn.Module, blocks: Mapping[str, nn.Module], size: SizeOf) -> None:
        """Widths of stages; heads per block."""
        swin: Any = model
        widths = [size(f"embed.{s}") for s in range(len(swin.layers))]
        swin.embed_dim, swin.num_features, swin.head_hidden_size = widths[0], widths[-1], widths[-1]
        swin.feature_info = [info | {"num_chs": width} for info, width in zip(swin.feature_info, widths, strict=True)]
        for index, module in blocks.items():
            block: Any = module
            block.dim, block.attn.num_heads = size(f"embed.{stage_of(index)}"), size(f"heads.{index}")

    @override
    def readout(self, model: nn.Module) -> Readout:
        swin: Any = model
        return Readout(swin.global_pool, prefix=0, anchors=0)

    @override
    def steps(self, model: nn.Module) -> list[Piece]:
        """Patches, then each stage's merging and blocks, then the head: see timm's `SwinTransformer.forward`."""
        swin: Any = model
        steps = [Piece(swin.patch_embed, ("patch_embed",))]
        for s, stage in swin.layers.named_children():
            if not isinstance(stage.downsample, nn.Identity):
                steps.append(Piece(stage.downsample, (f"layers.{s}.downsample",)))
            steps += [Piece(block, (f"layers.{s}.blocks.{b}",)) for b, block in stage.blocks.named_children()]

        def tail(features: Tensor) -> Tensor:
            logits: Tensor = swin.forward_head(swin.norm(features))
            return logits

        return [*steps, Piece(tail, ("norm", "head"))]


def _stage_axes(s: int, stage: Any) -> dict[str, int]:
    """Grid, windows and widths of stage `s`: tokens, tokens with padding, tokens of one window."""
    first = stage.blocks[0]
    (height, width), (rows, columns) = first.input_resolution, first.window_size
    axes = {
        f"embed.{s}": first.dim,
        f"grid.{s}": height * width,
        f"window.{s}": rows * columns,
        f"windowed.{s}": math.ceil(height / rows) * rows * math.ceil(width / columns) * columns,
        f"offsets.{s}": (2 * rows - 1) * (2 * columns - 1),
    }
    if not isinstance(stage.downsample, nn.Identity):
        axes |= dict.fromkeys((f"merged.{s}", f"merging_in.{s}"), stage.downsample.reduction.in_features)
    return axes
