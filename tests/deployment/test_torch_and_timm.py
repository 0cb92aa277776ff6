"""The same model for torch alone, and models that timm's arguments can express for timm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import timm
import torch
from deployed_models import CARRYING, save_smallest

import nas
from nas import cli
from nas.deployment import torch_export
from nas.errors import DeploymentError

ALIKE = CARRYING.partition("choices:")[0] + "choices: {mlp: {size: [29]}, depth: {depth: [1]}}"
NARROW = ALIKE.replace("mlp: {size: [29]}", "heads: {size: [1], per: block}")
SWIN = """
model: swin_tiny_patch4_window7_224
model_args: {img_size: 16, window_size: 2, depths: [1, 1], embed_dim: 24, num_heads: [2, 4], num_classes: 10}
choices: {heads: {size: [1], per: block}, mlp: {size: [0.5]}}
"""


def exported(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    assert cli.main(["export", *map(str, arguments)]) == code
    streams = capsys.readouterr()
    return streams.err if code else streams.out


@torch.no_grad()
def test_torch_alone_reads_what_it_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = save_smallest(CARRYING, tmp_path / "model")
    path, images = tmp_path / "model.pt2", torch.randn(3, 1, 8, 8)
    assert "torch.export of torch" in exported(capsys, saved, "--torch-export", path)
    loaded = torch.export.load(path).module()
    torch.testing.assert_close(loaded(images), nas.load(saved)(images), atol=1e-5, rtol=0)
    assert "exists; give another name, or --overwrite" in exported(capsys, saved, "--torch-export", path, code=2)


def test_a_difference_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def different(form: str, *_: object) -> None:
        raise DeploymentError(f"{form}: differs")

    monkeypatch.setattr(torch.export, "export", lambda *_, **__: torch.nn.Identity())
    monkeypatch.setattr(torch.export, "save", lambda *_: None)
    monkeypatch.setattr(torch.export, "load", lambda _: torch.nn.Module())
    monkeypatch.setattr(torch.nn.Module, "module", lambda self: self, raising=False)
    monkeypatch.setattr(torch_export, "compare", different)
    saved = save_smallest(CARRYING, tmp_path / "model")
    exported(capsys, saved, "--torch-export", tmp_path / "files" / "model.pt2", code=2)
    assert list((tmp_path / "files").iterdir()) == []


@pytest.mark.parametrize("space", [ALIKE, SWIN], ids=["vit", "swin"])
@torch.no_grad()
def test_timm_builds_what_its_arguments_express(space: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = save_smallest(space, tmp_path / "model")
    assert "local-dir" in exported(capsys, saved, "--timm", tmp_path / "timm")
    loaded, model = timm.create_model(f"local-dir:{tmp_path / 'timm'}", pretrained=True).eval(), nas.load(saved)
    images = torch.randn(2, *model.pretrained_cfg["input_size"])
    assert torch.equal(loaded(images), model(images))
    assert tuple(loaded.pretrained_cfg["mean"]) == model.pretrained_cfg["mean"]
    assert "not an empty folder" in exported(capsys, saved, "--timm", tmp_path / "timm", "--overwrite", code=2)


@pytest.mark.parametrize(
    ("space", "reasons"),
    [
        (CARRYING, ["it chooses tokens, or inputs of layers"]),
        (NARROW, ["'blocks.0.attn.qkv.weight' is 36 x 24", "alike for all blocks"]),
    ],
)
def test_other_models_stay_with_the_reason(
    space: str, reasons: Sequence[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = save_smallest(space, tmp_path / "model")
    said = exported(capsys, saved, "--timm", tmp_path / "timm", code=2)
    assert all(reason in said for reason in ["timm's arguments cannot express this model", *reasons])
    assert not (tmp_path / "timm").exists()
