"""What families answer about a model, and what follows for a space: image size, grid, readout, parts of attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nas.searchspaces import SearchSpace
from nas.supernets import build
from nas.supernets.families import family_of
from nas.supernets.families._base import Readout
from nas.supernets.of_space import image_size_of, readout_of
from nas.testing.families import randomise

VIT = {"patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}
SWIN = {"embed_dim": 24, "depths": (2, 2), "num_heads": (2, 4)}


@pytest.mark.parametrize(
    ("model", "args", "size", "grid", "readout"),
    [
        ("vit_tiny_patch16_224", {**VIT, "img_size": (32, 48)}, (32, 48), (4, 6), Readout("token", 1, 1)),
        ("vit_tiny_patch16_224", {**VIT, "img_size": 32, "reg_tokens": 2}, (32, 32), (4, 4), Readout("token", 3, 1)),
        (
            "vit_tiny_patch16_224",
            {**VIT, "img_size": 32, "class_token": False, "global_pool": "avg"},
            (32, 32),
            (4, 4),
            Readout("avg", 0, 0),
        ),
        (
            "vit_tiny_patch16_224",
            {**VIT, "img_size": 32, "reg_tokens": 2, "global_pool": "avg"},
            (32, 32),
            (4, 4),
            Readout("avg", 3, 0),
        ),
        ("deit_tiny_distilled_patch16_224", {**VIT, "img_size": 32}, (32, 32), (4, 4), Readout("token", 2, 2)),
        ("t2t_vit_7", {"img_size": 32, "depth": 1}, (32, 32), (2, 2), Readout("token", 1, 1)),
        ("swin_tiny_patch4_window7_224", {**SWIN, "img_size": 56}, (56, 56), (14, 14), Readout("avg", 0, 0)),
    ],
)
def test_what_a_family_says_of_a_model(
    model: str, args: dict[str, Any], size: tuple[int, int], grid: tuple[int, int], readout: Readout
) -> None:
    built = build(model, args)
    family = family_of(built)
    assert family.image_size(built) == size
    assert family.grid(built) == grid
    assert family.readout(built) == readout
    assert all(
        units == (readout.prefix if readout.pooled else readout.anchors)
        for units in family.frame(built).protected.values()
    )
    assert readout.pooled == (readout.pooling != "token")


def test_attention_parts_mix_values_to_what_the_block_computes() -> None:
    model = randomise(build("vit_tiny_patch16_224", {**VIT, "img_size": 16, "qk_norm": True}))
    block: Any = model.get_submodule("blocks.0")
    parts = family_of(model).attention(block)
    x = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        value = parts.qkv(parts.norm(x)).reshape(2, 5, 3, parts.heads, parts.head_dim)[:, :, 2].transpose(1, 2)
        mixed = (parts.weights(x) @ value).transpose(1, 2).flatten(2)
        torch.testing.assert_close(block.attn.proj(mixed), block.attn(block.norm1(x)), rtol=1e-4, atol=1e-5)


def test_facts_of_a_space_need_no_weights() -> None:
    space = SearchSpace.from_yaml("{model: t2t_vit_7, choices: {mlp: {size: [0.5, 1.0]}}}")
    assert image_size_of(space) == 224
    assert not readout_of(space).pooled
    oblong = SearchSpace.from_yaml(
        "{model: vit_tiny_patch16_224, choices: {mlp: {size: [0.5, 1.0]}}}", model_args={**VIT, "img_size": (32, 48)}
    )
    assert image_size_of(oblong) == (32, 48)
