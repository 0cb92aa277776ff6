"""Checkpoints that a user brings: right ones load whole, wrong ones leave the model as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from nas.errors import CheckpointError
from nas.supernets import load_weights


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2))


def changed(**entries: torch.Tensor | None) -> dict[str, torch.Tensor]:
    state = dict(model().state_dict()) | {name.replace("_", "."): value for name, value in entries.items()}
    return {name: value for name, value in state.items() if value is not None}


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
def test_both_formats(tmp_path: Path, wrapper: str | None) -> None:
    state = changed(**{"0_weight": torch.full((2, 3), 7.0)})
    torch.save({wrapper: state} if wrapper else state, tmp_path / "a.pth")
    save_file(state, tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        target = model()
        load_weights(target, tmp_path / name)
        assert (target.get_parameter("0.weight") == 7).all()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"0_bias": None}, r"it lacks 1 entries, first '0\.bias'"),
        ({"1_bias": torch.zeros(2)}, r"it also holds 1 entries, first '1\.bias'"),
        ({"0_weight": torch.zeros(2, 4)}, r"'0\.weight' is \(2, 4\) there, \(2, 3\) in the model"),
    ],
)
def test_foreign(tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    save_file(changed(**entries), tmp_path / "a.safetensors")
    target = model()
    before = target.get_parameter("0.weight").clone()
    with pytest.raises(CheckpointError, match=message):
        load_weights(target, tmp_path / "a.safetensors")
    assert torch.equal(target.get_parameter("0.weight"), before)


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_damaged(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04not weights")
    with pytest.raises(CheckpointError, match="damaged"):
        load_weights(model(), tmp_path / name)


def test_code_is_not_run(tmp_path: Path) -> None:
    torch.save(model(), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="damaged, or not only weights"):
        load_weights(model(), tmp_path / "a.pth")


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_weights(model(), tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"])
def test_a_classifier_of_other_classes_stays_new(tmp_path: Path, name: str) -> None:
    args = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 1, "num_heads": 4}
    pretrained, target = timm.create_model(name, **args), timm.create_model(name, num_classes=7, **args)
    save_file(pretrained.state_dict(), tmp_path / "a.safetensors")
    before = target.get_parameter("head.weight").clone()
    load_weights(target, tmp_path / "a.safetensors")
    assert torch.equal(target.get_parameter("head.weight"), before)
    assert torch.equal(target.get_parameter("pos_embed"), pretrained.get_parameter("pos_embed"))
