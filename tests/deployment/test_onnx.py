"""A small ViT that drops and carries tokens, with factored matrices and gathered inputs, leaves as ONNX."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from deployed_models import CARRYING, save_smallest
from torch import Tensor

import nas
from nas import cli
from nas.deployment import example_script, onnx_file
from nas.deployment.checking import ROUNDED
from nas.supernets.models.int8 import RoundedLinear

pytest.importorskip("onnxruntime", reason="ONNX is an extra: pip install 'nas[onnx]'")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model."""
    return save_smallest(CARRYING, tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture(scope="module")
def exported(saved: Path) -> Path:
    path = saved.parent / "model.onnx"
    assert cli.main(["export", str(saved), "--onnx", str(path), "--script", "--data", "digits"]) == 0
    return path


@pytest.mark.parametrize("batch", [1, 7])
def test_it_says_what_the_model_says(saved: Path, exported: Path, batch: int) -> None:
    images, model = torch.randn(batch, 1, 8, 8), nas.load(saved)
    assert sum(isinstance(module, torch.fx.GraphModule) for module in model.modules()) >= 4, "blocks and gathers"
    with torch.no_grad():
        torch.testing.assert_close(onnx_file.session(exported)(images)[0], model(images), atol=1e-5, rtol=0)


def test_int8_matrices_leave_in_int8_for_any_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To a step of rounding: what is added up in another order may fall to the next number."""
    onnx = pytest.importorskip("onnx", reason="an extra")
    folder = save_smallest(f"{CARRYING}  bits: {{bits: [8]}}\n", tmp_path / "model")
    assert cli.main(["export", str(folder), "--onnx", str(tmp_path / "int8.onnx"), "--data", "digits"]) == 0
    assert "the model's outputs to" in capsys.readouterr().out
    run, model = onnx_file.session(tmp_path / "int8.onnx"), nas.load(folder)
    for batch in (1, 7):
        images = torch.randn(batch, 1, 8, 8)
        with torch.no_grad():
            torch.testing.assert_close(run(images)[0], model(images), atol=ROUNDED, rtol=0)
    stored = onnx.load(tmp_path / "int8.onnx").graph.initializer
    layers = [layer for layer in model.modules() if isinstance(layer, RoundedLinear)]
    assert layers
    assert sum(tensor.data_type == onnx.TensorProto.UINT8 and len(tensor.dims) == 2 for tensor in stored) == len(layers)


def wrong(answers: Callable[[Tensor], list[Tensor]]) -> Callable[[Path], Callable[[Tensor], list[Tensor]]]:
    """In the place of `session`: other answers than those of the file."""
    return lambda path: lambda images: answers(onnx_file_session(path)(images)[0])


onnx_file_session = onnx_file.session


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (lambda logits: [logits + 1e-3], "differs from the model's by 0.001 on 2 images; allowed: 0.0001"),
        (lambda logits: [logits / 0], "differs from the model's by"),
        (lambda logits: [logits[:1]], "'logits' of 2 images is (1, 10), of the model (2, 10)"),
    ],
)
def test_a_file_that_says_something_else_is_not_left(
    saved: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    answers: Callable[[Tensor], list[Tensor]], message: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(onnx_file, "export", lambda _, path: path.write_bytes(exported.read_bytes()))
    monkeypatch.setattr(onnx_file, "session", wrong(answers))
    assert cli.main(["export", str(saved), "--onnx", str(tmp_path / "model.onnx")]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_unasked(
    saved: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnx_file, "export", lambda _, path: path.write_bytes(exported.read_bytes()) and 18)
    (tmp_path / "model.onnx").write_text("mine")
    command = ["export", str(saved), "--onnx", str(tmp_path / "model.onnx")]
    assert cli.main(command) == 2
    assert "exists; give another name, or --overwrite" in capsys.readouterr().err
    assert (tmp_path / "model.onnx").read_text() == "mine"
    assert cli.main([*command, "--overwrite"]) == 0
    shown = capsys.readouterr().out
    assert "opset 18" in shown
    assert "random images only: a saved model has no data" in shown
    assert (tmp_path / "model.onnx").read_bytes() == exported.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--part", "maps"], "found maps of a classifier"),
        (["--digest", "a"], "found a model; --digest and --trial go with a run"),
        (["--data", "/nosuch"], "/nosuch"),
        (["--int8", "int8.onnx"], "data: missing; needed: a folder of class folders"),
    ],
)
def test_faults_are_a_sentence(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    form = [] if "--int8" in arguments else ["--onnx", "model.onnx"]
    assert cli.main(["export", str(saved), *form, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxscript" else name)
    assert cli.main(["export", str(saved), "--onnx", str(tmp_path / "model.onnx")]) == 2
    assert "ONNX needs onnxscript, not installed: pip install 'nas[onnx]'" in capsys.readouterr().err


def test_int8_says_what_it_costs(
    saved: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnx_file, "export", lambda _, path: path.write_bytes(exported.read_bytes()))
    path = tmp_path / "int8.onnx"
    command = ["export", str(saved), "--int8", str(path), "--data", "digits"]
    assert cli.main(command) == 0
    numbers = json.loads((tmp_path / "int8.onnx.json").read_text())
    expected = nas.evaluate(saved, "digits").metrics["accuracy"]
    assert numbers["before"]["accuracy"] == expected
    assert (numbers["images"], numbers["calibration"]) == (359, 256)
    assert f"accuracy {100 * expected:.2f} % before, {100 * numbers['after']['accuracy']:.2f} % after" in (
        capsys.readouterr().out
    )
    images, model = torch.randn(64, 1, 8, 8), nas.load(saved)
    with torch.no_grad():
        difference = (onnx_file.session(path)(images)[0] - model(images)).abs().max()
    assert 1e-6 < difference < 0.3 * model(images).abs().max(), "other numbers, but near"
    path.unlink()
    assert cli.main(command) == 2
    assert "int8.onnx.json: exists" in capsys.readouterr().err


def test_the_script_names_classes_and_is_tried(
    saved: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = exported.with_suffix(".py").read_text()
    assert "MODEL = 'model.onnx'" in script
    assert not any(f"import {name}" in script for name in ("torch", "timm", "nas"))
    wrong = tmp_path / "script.txt"
    wrong.write_text(example_script.TEMPLATE.read_text().replace("/ 255", "/ 25"))
    monkeypatch.setattr(example_script, "TEMPLATE", wrong)
    monkeypatch.setattr(onnx_file, "export", lambda _, path: path.write_bytes(exported.read_bytes()))
    assert cli.main(["export", str(saved), "--onnx", str(tmp_path / "model.onnx"), "--script"]) == 2
    assert "--script: pixels differ by" in capsys.readouterr().err
    assert not (tmp_path / "model.py").exists()
    assert cli.main(["export", str(saved), "--script"]) == 2
    assert "found neither --onnx FILE nor --int8 FILE" in capsys.readouterr().err
