"""T2T-ViT: a plain vision transformer whose tokens two small performers make; these stay whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from torch import Tensor, nn
from typing_extensions import override

from nas.supernets.families._plain import PlainTransformer, Stem
from nas.supernets.models.t2t import FEATURES, T2T, WIDTH, TokensToToken, checkpoint_filter_fn
from nas.supernets.rows import Row

SMALL = {"img_size": 32, "embed_dim": 48, "depth": 3, "num_heads": 4, "num_classes": 7}


def _performer(number: int, grid: str) -> tuple[Row, ...]:
    """Rows of one performer, which runs on `grid` tokens."""
    path = f"patch_embed.attention{number}"
    return (
        Row(f"{path}.norm1.weight", f"unfolded{number}"),
        Row(f"{path}.norm1.bias", f"unfolded{number}"),
        Row(f"{path}.kqv.weight", f"{3 * WIDTH} unfolded{number}", at=grid),
        Row(f"{path}.kqv.bias", f"{3 * WIDTH}"),
        Row(f"{path}.proj.weight", f"{WIDTH} {WIDTH}", at=grid),
        Row(f"{path}.proj.bias", f"{WIDTH}"),
        Row(f"{path}.norm2.weight", f"{WIDTH}"),
        Row(f"{path}.norm2.bias", f"{WIDTH}"),
        Row(f"{path}.mlp.0.weight", f"{WIDTH} {WIDTH}", at=grid),
        Row(f"{path}.mlp.0.bias", f"{WIDTH}"),
        Row(f"{path}.mlp.2.weight", f"{WIDTH} {WIDTH}", at=grid),
        Row(f"{path}.mlp.2.bias", f"{WIDTH}"),
        Row(f"{path}.w", f"{FEATURES} {WIDTH}"),
    )


@final
class T2t(PlainTransformer):
    """Tokens-to-token vision transformers (arXiv 2101.11986)."""

    classes = (T2T,)
    parts: ClassVar[Mapping[str, tuple[type[nn.Module], ...]]] = {
        "patch_embed": (TokensToToken,),
        **PlainTransformer.parts,
    }
    rows: ClassVar[tuple[Row, ...]] = (
        *_performer(1, "grid1"),
        *_performer(2, "grid2"),
        Row("patch_embed.project.weight", "embed unfolded3", at="patches"),
        Row("patch_embed.project.bias", "embed"),
        *PlainTransformer.rows,
    )
    # Features of keys and queries, keys times values, and queries times that.
    products: ClassVar[tuple[str, ...]] = (
        *PlainTransformer.products,
        f"4 grid1 {FEATURES} {WIDTH}",
        f"4 grid2 {FEATURES} {WIDTH}",
    )
    examples = (
        ("t2t_vit_7", SMALL),
        ("t2t_vit_14", SMALL | {"img_size": 40, "in_chans": 1}),
    )

    @override
    def adapted(self, model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Names and attention scale of the published code, position embeddings of another size."""
        assert isinstance(model, T2T)
        return checkpoint_filter_fn(weights, model)

    @override
    def stem(self, model: nn.Module) -> Stem:
        """Widths and grids of the three splits."""
        embed: Any = model.get_submodule("patch_embed")
        first, second, third = (split.kernel_size**2 for split in embed.splits)
        axes = {
            "channels": embed.in_chans,
            "unfolded1": embed.in_chans * first,
            "unfolded2": WIDTH * second,
            "unfolded3": WIDTH * third,
            "grid1": embed.grids[1] ** 2,
            "grid2": embed.grids[2] ** 2,
            "patches": embed.num_patches,
        }
        return Stem(axes)

    @override
    def image_size(self, model: nn.Module) -> tuple[int, int]:
        embed: Any = model.get_submodule("patch_embed")
        return embed.grids[0], embed.grids[0]
