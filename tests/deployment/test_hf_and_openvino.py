"""The same model for transformers and for OpenVINO, where these are installed; and what is said where they are not."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from deployed_models import CARRYING, save_smallest
from test_torch_and_timm import NARROW, SWIN, exported

import nas
from nas.deployment import deployable, hf_folder
from nas.errors import DeploymentError

WITH = {name: find_spec(name) is not None for name in ("transformers", "openvino", "onnxruntime")}


@pytest.mark.skipif(not WITH["transformers"], reason="transformers is not installed")
@pytest.mark.parametrize("space", [NARROW, SWIN], ids=["vit", "swin"])
@torch.no_grad()
def test_transformers_reads_what_it_writes(
    space: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the modelling file in the folder, in which nothing of nas is left."""
    from transformers import AutoModelForImageClassification

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    saved, folder = save_smallest(space, tmp_path / "model"), tmp_path / "hf"
    assert "the model's outputs to" in exported(capsys, saved, "--hf", folder)
    assert {file.name for file in folder.iterdir()} >= {"config.json", "model.safetensors", "modeling_nas.py"}
    assert "import nas" not in (folder / "modeling_nas.py").read_text()
    loaded = AutoModelForImageClassification.from_pretrained(folder, trust_remote_code=True)
    config = json.loads((folder / "config.json").read_text())
    images = torch.randn(3, config["timm_args"].get("in_chans", 3), *[config["timm_args"]["img_size"]] * 2)
    torch.testing.assert_close(loaded.eval()(images).logits, nas.load(saved).eval()(images), atol=1e-5, rtol=0)
    assert "exists and is not an empty folder" in exported(capsys, saved, "--hf", folder, code=2)


def test_what_the_modelling_file_changes_is_what_differs(tmp_path: Path) -> None:
    """Of a ViT with fewer heads: shapes and numbers of its blocks, and nothing of the others."""
    saved = save_smallest(NARROW, tmp_path / "model")
    model, blueprint = nas.load(saved), json.loads((saved / "model.json").read_text())
    import timm

    built = timm.create_model(blueprint["model"], **blueprint["model_args"])
    said = hf_folder._differences(model, built)
    before = dict(built.named_parameters())
    changed = {name for name, one in model.named_parameters() if before[name].shape != one.shape}
    assert changed
    assert set(said["shapes"]) == changed
    assert said["numbers"]["blocks.0.attn"] == {"num_heads": 1, "attn_dim": 12}
    assert said["without"] == ["blocks.1"]


def test_layers_that_timm_has_not_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_folder, "require_packages", lambda: None)
    saved = save_smallest(CARRYING, tmp_path / "model")
    original = deployable(nas.load(saved), (1, 8, 8), None, None)
    arguments = {"img_size": 8, "patch_size": 2, "in_chans": 1, "num_classes": 10, "embed_dim": 24, "depth": 2}
    with pytest.raises(DeploymentError, match=r"cannot express this model: 'blocks.0' is a .* of its own"):
        hf_folder.write(original, "vit_tiny_patch16_224", {**arguments, "num_heads": 2}, tmp_path)
    with pytest.raises(DeploymentError, match="timm has no"):
        hf_folder.write(original, "my.module:model", {}, tmp_path)
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.skipif(not (WITH["openvino"] and WITH["onnxruntime"]), reason="openvino is not installed")
def test_openvino_reads_what_it_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved, folder = save_smallest(CARRYING, tmp_path / "model"), tmp_path / "openvino"
    assert "OpenVINO 20" in exported(capsys, saved, "--openvino", folder)
    assert sorted(file.name for file in folder.iterdir()) == ["model.bin", "model.xml"]


@pytest.mark.parametrize(("option", "package"), [("--hf", "transformers"), ("--openvino", "openvino")])
def test_a_missing_package_is_said_before_anything_is_read(
    option: str, package: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("hf_folder", "openvino_model"):
        monkeypatch.setattr(f"nas.deployment.{module}.find_spec", lambda name: None if name == package else name)
    said = exported(capsys, tmp_path / "nowhere", option, tmp_path / "to", code=2)
    assert f"{option} needs {package}, not installed: pip install {package}" in said
