"""Variants of supported classes that a table is not true of: refused by the type that was found, in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch

import nas.cli
from nas.errors import ModelError
from nas.supernets import build
from nas.supernets.families import family_of

SMALL = {"depth": 1, "embed_dim": 24, "num_heads": 2}


@pytest.mark.parametrize(
    ("model", "args", "reason"),
    [
        ("vit_base_patch16_xp_224", SMALL, "blocks.0 is a ParallelScalingBlock where Block is supported"),
        ("vit_small_patch16_18x2_224", SMALL, "blocks.0 is a ParallelThingsBlock where Block is supported"),
        ("vit_base_patch16_rpn_224", SMALL, "blocks.0 is a ResPostBlock where Block is supported"),
        ("vit_dpwee_patch16_reg1_gap_256", SMALL, "blocks.0 is a DiffParallelScalingBlock where Block is supported"),
        ("vit_dwee_patch16_reg1_gap_256", SMALL, "blocks.0.attn is a DiffAttention where Attention is supported"),
    ],
)
def test_the_type_found_and_the_one_supported(model: str, args: dict[str, Any], reason: str) -> None:
    with torch.device("meta"):
        built = build(model, args)
    with pytest.raises(ModelError) as refusal:
        family_of(built)
    assert str(refusal.value) == f"VisionTransformer is supported, but not this variant: {reason}"


def test_a_swin_with_another_mlp() -> None:
    model = build("swin_tiny_patch4_window7_224", {"embed_dim": 24, "depths": (1, 1), "num_heads": (1, 2)})
    model.set_submodule("layers.1.blocks.0.mlp", torch.nn.Identity())
    with pytest.raises(ModelError, match=r"layers\.1\.blocks\.0\.mlp is a Identity where Mlp is supported"):
        family_of(model)


def test_models_of_feature_maps_have_a_message_of_their_own() -> None:
    message = "features_only=True leaves no head to train by; build the whole model"
    with pytest.raises(ModelError, match=f"model_args: {message}"):
        build("vit_tiny_patch16_224", {"features_only": True})
    for name in ("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "resnet18"):
        with torch.device("meta"):
            model = timm.create_model(name, features_only=True)
        with pytest.raises(ModelError, match=f"cannot become a supernet: {message}"):
            family_of(model)


def test_what_no_family_takes_is_derived_and_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its full name, under which a run builds it too."""
    space = tmp_path / "space.yaml"
    space.write_text(
        "{model: vit_dwee_patch16_reg1_gap_256, model_args: {depth: 1, img_size: 32, embed_dim: 24, num_heads: 2}, "
        "choices: {mlp: {size: [0.5, 1.0], per: block}}}"
    )
    assert nas.cli.main(["show", str(space)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "timm/vit_dwee_patch16_reg1_gap_256" in said
    assert "'vit_dwee_patch16_reg1_gap_256' has no table of axes by hand: they are derived" in said
