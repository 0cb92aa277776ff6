"""OpenVINO's own form, made from the ONNX file: FILE.xml and, beside it, FILE.bin with the weights."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from nas.deployment import onnx_file
from nas.deployment.checking import compare
from nas.deployment.deployable import Deployable
from nas.errors import DeploymentError


def require_packages() -> None:
    """Raises `DeploymentError` where a package is missing."""
    onnx_file.require_packages()
    if find_spec("openvino") is None:
        raise DeploymentError("--openvino needs openvino, not installed: pip install openvino")


def write(original: Deployable, folder: Path) -> str:
    """Writes model.xml and model.bin, in float32, to an empty folder, reads them again and compares; returns a sentence
    about them. The batch may have any size. Raises `DeploymentError` where a package is missing, or where OpenVINO
    cannot read the model, or says something else.
    """
    require_packages()
    import openvino

    core: Any = openvino.Core()
    with TemporaryDirectory() as beside:
        whole = Path(beside) / "whole.onnx"
        onnx_file.export(original, whole)
        try:
            openvino.save_model(core.read_model(whole), folder / "model.xml", compress_to_fp16=False)
            options = {"INFERENCE_PRECISION_HINT": "f32"}
            compiled = core.compile_model(core.read_model(folder / "model.xml"), "CPU", options)
        except RuntimeError as wrong:
            reason = str(wrong).strip().split("\n")[-1]
            raise DeploymentError(f"--openvino: it cannot read this model ({reason}); nothing was written") from wrong

    def run(images: Tensor) -> list[Tensor]:
        answers = compiled(images.numpy())
        return [torch.from_numpy(answers[output].copy()) for output in compiled.outputs]

    return f"OpenVINO {version('openvino')}: {compare('--openvino', original, run)}"
