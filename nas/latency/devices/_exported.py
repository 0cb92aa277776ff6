"""The models of passes as ONNX files, for devices that run those."""

from __future__ import annotations

from torch import nn

from nas.deployment import onnx_file
from nas.deployment.integers import in_integers
from nas.errors import DeploymentError, LatencyError
from nas.latency.onnx_steps import OnnxStep, chained
from nas.latency.timing import Forward


def content_of(forward: Forward) -> bytes:
    """The bytes of a file: of the steps that a pass goes through, or of its model.

    Raises `LatencyError` where torch cannot write it, or where a package is missing.
    """
    try:
        onnx_file.require_packages()
        return chained([_onnx_step(step, forward).written(forward.inputs.dtype) for step in forward.steps])
    except DeploymentError as refusal:
        raise LatencyError(f"a device that runs ONNX: {refusal}") from refusal


def _onnx_step(step: object, forward: Forward) -> OnnxStep:
    if isinstance(step, OnnxStep):
        return step
    assert isinstance(step, nn.Module), "what is timed as a whole is a model, or steps of one"
    model = in_integers(step)
    return OnnxStep(model, model, forward.inputs.shape[1:])
