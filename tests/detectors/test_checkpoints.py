"""Weights of a detector: of its body alone, of the whole, and of one with the names of published code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from detector_spaces import SWIN, VIT, on_pyramid, on_tokens, supernet_of
from safetensors.torch import save_file
from torch import Tensor, nn

from nas.errors import CheckpointError
from nas.supernets import build, load_weights


def saved(tmp_path: Path, tensors: dict[str, Tensor]) -> Path:
    path = tmp_path / "weights.safetensors"
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, path)
    return path


def filled(model: nn.Module) -> dict[str, Tensor]:
    """Weights that are none of the initial ones."""
    generator = torch.Generator().manual_seed(3)
    return {
        name: torch.rand(tensor.shape, generator=generator) if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }


@pytest.mark.parametrize("prefix", ["", "backbone.", "body."])
def test_a_body_alone_leaves_the_rest_as_it_was(tmp_path: Path, prefix: str) -> None:
    """A classifier's head is left out."""
    model = supernet_of(on_pyramid("swin", "faster_rcnn")).model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plain = filled(build(*SWIN))
    notes = load_weights(model, saved(tmp_path, {f"{prefix}{name}": tensor for name, tensor in plain.items()}))
    after = model.state_dict()
    assert any("around it start anew" in note for note in notes)
    for name, tensor in after.items():
        inside = name.startswith("body.") and name.removeprefix("body.") in plain
        assert torch.equal(tensor, plain[name.removeprefix("body.")] if inside else before[name]), name


def test_a_vit_gets_detection_tokens(tmp_path: Path) -> None:
    model = supernet_of(on_tokens()).model
    plain = filled(build(*VIT))
    load_weights(model, saved(tmp_path, plain))
    body = model.body
    assert torch.equal(body.blocks[1].mlp.fc1.weight, plain["blocks.1.mlp.fc1.weight"])
    assert torch.equal(body.pos_embed[:, :1], plain["pos_embed"][:, :1])
    assert torch.equal(body.pos_embed[:, 1 + 5 :], plain["pos_embed"][:, 1:])


def test_the_whole_comes_back(tmp_path: Path) -> None:
    for space in (on_pyramid("swin", "cascade_mask_rcnn"), on_tokens()):
        model = supernet_of(space).model
        whole = filled(model)
        load_weights(model, saved(tmp_path, whole))
        assert all(torch.equal(tensor, whole[name]) for name, tensor in model.state_dict().items())


THEIRS = (
    (r"^body\.layers\.(\d+)\.downsample", lambda m: f"backbone.layers.{int(m[1]) - 1}.downsample"),
    (r"^body\.norm\.", r"backbone.norm1."),
    (r"^body\.", r"backbone."),
    (r"^pyramid\.norms\.(\d+)\.", r"backbone.norm\1."),
    (r"^pyramid\.fpn\.inner_blocks\.(\d+)\.0\.", r"neck.lateral_convs.\1.conv."),
    (r"^pyramid\.fpn\.layer_blocks\.(\d+)\.0\.", r"neck.fpn_convs.\1.conv."),
    (r"^rpn\.head\.conv\.0\.0\.", "rpn_head.rpn_conv."),
    (r"^rpn\.head\.cls_logits\.", "rpn_head.rpn_cls."),
    (r"^rpn\.head\.bbox_pred\.", "rpn_head.rpn_reg."),
    (r"^stages\.(\d+)\.box_head\.([0-3])\.0\.", r"roi_head.bbox_head.\1.shared_convs.\2.conv."),
    (r"^stages\.(\d+)\.box_head\.([0-3])\.1\.", r"roi_head.bbox_head.\1.shared_convs.\2.bn."),
    (r"^stages\.(\d+)\.box_head\.5\.", r"roi_head.bbox_head.\1.shared_fcs.0."),
    (r"^stages\.0\.box_head\.fc(6|7)\.", lambda m: f"roi_head.bbox_head.shared_fcs.{int(m[1]) - 6}."),
    (r"^stages\.(\d+)\.box_predictor\.cls_score\.", r"roi_head.bbox_head.\1.fc_cls."),
    (r"^stages\.(\d+)\.box_predictor\.bbox_pred\.", r"roi_head.bbox_head.\1.fc_reg."),
    (r"^stages\.(\d+)\.mask_head\.(\d+)\.0\.", r"roi_head.mask_head.\1.convs.\2.conv."),
    (r"^stages\.(\d+)\.mask_predictor\.conv5_mask\.", r"roi_head.mask_head.\1.upsample."),
    (r"^stages\.(\d+)\.mask_predictor\.mask_fcn_logits\.", r"roi_head.mask_head.\1.conv_logits."),
)
"""Our names -> the published ones."""


def published(model: nn.Module, whole: dict[str, Tensor]) -> dict[str, Tensor]:
    """A file of the published layout: its background is the last class, and has neither boxes nor masks."""
    single = len(model.stages) == 1
    tensors = {}
    for name, tensor in whole.items():
        theirs = next((re.sub(old, new, name) for old, new in THEIRS if re.match(old, name)), name)
        if "fc_cls" in theirs:
            tensor = tensor.roll(-1, 0)
        if single:
            theirs = re.sub(r"(bbox|mask)_head\.0\.", r"\1_head.", theirs)
            tensor = tensor[4:] if "fc_reg" in theirs else tensor[1:] if "conv_logits" in theirs else tensor
        tensors[theirs] = tensor
    return tensors


@pytest.mark.parametrize("head", ["cascade_mask_rcnn", "mask_rcnn"])
def test_published_names_are_mapped(tmp_path: Path, head: str) -> None:
    model = supernet_of(on_pyramid("swin", head)).model
    whole = filled(model)
    load_weights(model, saved(tmp_path, published(model, whole)))
    for name, tensor in model.state_dict().items():
        wanted = whole[name].clone()
        if head == "mask_rcnn" and "bbox_pred" in name and "stages" in name:
            wanted[:4] = 0
        if head == "mask_rcnn" and "mask_fcn_logits" in name:
            wanted[:1] = 0
        assert torch.equal(tensor, wanted), name


def test_what_is_left_over_is_named(tmp_path: Path) -> None:
    model = supernet_of(on_pyramid("swin", "faster_rcnn")).model
    whole = filled(model)
    del whole["rpn.head.cls_logits.weight"]
    with pytest.raises(CheckpointError, match=r"it lacks 1 entries, first 'rpn\.head\.cls_logits\.weight'"):
        load_weights(model, saved(tmp_path, whole))
