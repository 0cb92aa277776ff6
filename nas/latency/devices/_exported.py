"""Whole models as ONNX files, for devices that run those."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn

from nas.deployment import Deployable, onnx_file
from nas.errors import DeploymentError, LatencyError
from nas.latency.timing import Forward
from nas.system.files import replacing

OUTPUT = "logits"
"""Name of the output."""


def export(forward: Forward, path: Path) -> None:
    """Writes the model of a pass. Raises `LatencyError` where torch cannot, or where a package is missing."""
    (model,) = forward.steps
    assert isinstance(model, nn.Module), "what is timed as a whole is a model"
    _, channels, height, width = forward.inputs.shape
    try:
        onnx_file.require_packages()
        with replacing(path) as partial:
            image = (channels, height, width)
            onnx_file.export(Deployable(model, image, (OUTPUT,), dtype=forward.inputs.dtype), partial)
    except DeploymentError as refusal:
        raise LatencyError(f"a device that runs ONNX: {refusal}") from refusal


def content_of(forward: Forward) -> bytes:
    """The bytes of the model's file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export(forward, path)
        return path.read_bytes()
