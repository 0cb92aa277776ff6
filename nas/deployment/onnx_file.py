"""ONNX, for onnxruntime and whatever else reads it; the batch may have any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.deployment.checking import compare
from nas.deployment.deployable import Deployable
from nas.deployment.integers import in_integers
from nas.errors import DeploymentError
from nas.system.quiet import quiet

INPUT = "images"
"""Name of the input."""
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
LARGEST = 2**31
"""Bytes: a file of protobuf holds no more."""


def write(original: Deployable, path: Path) -> str:
    """Writes the model to `path`, reads it again by onnxruntime and compares; returns a sentence about the file.

    Raises `DeploymentError` where a package is missing, or where the file would not say what the model says.
    """
    require_packages()
    size = sum(tensor.nbytes for tensor in original.module.state_dict().values())
    if size >= LARGEST:
        raise DeploymentError(f"--onnx: found {size / 2**30:.1f} GiB of weights; allowed: less than 2 GiB in one file")
    opset = export(original, path)
    return f"ONNX of opset {opset}: {compare('--onnx', original, session(path))}"


def require_packages() -> None:
    """Raises `DeploymentError` where what writes and reads ONNX is not installed."""
    if absent := [name for name in PACKAGES if find_spec(name) is None]:
        raise DeploymentError(f"ONNX needs {', '.join(absent)}, not installed: pip install 'nas[onnx]'")


def session(path: Path) -> Callable[[Tensor], list[Tensor]]:
    """What runs a file: images (float, B x C x H x W) -> its outputs. It keeps to torch's number of threads."""
    inner = running(path.read_bytes())

    def run(images: Tensor) -> list[Tensor]:
        return [torch.from_numpy(output) for output in inner.run(None, {INPUT: images.numpy()})]

    return run


def running(content: bytes) -> Any:
    """A session of onnxruntime on the processor, of a file's bytes."""
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = ERRORS
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


ERRORS = 3
"""onnxruntime's number for messages about errors only."""


def export(original: Deployable, path: Path) -> int:
    """Writes the file; returns the version of the operators in it. Raises `DeploymentError` where torch cannot."""
    images = torch.zeros(2, *original.image, dtype=original.dtype)
    written = program(in_integers(original.module), images, original.outputs)
    written.save(path, external_data=False)
    return int(written.model.opset_imports[""])


def program(module: nn.Module, example: Tensor, outputs: Sequence[str]) -> Any:
    """A module as torch's program of ONNX, for any size of batch; `example` is what goes in, two or more of it.

    Raises `DeploymentError` where torch cannot.
    """
    batch = ({0: torch.export.Dim("batch")},)
    try:
        with quiet():
            written: Any = torch.onnx.export(
                module, (example,), input_names=[INPUT], output_names=list(outputs),
                dynamic_shapes=batch, dynamo=True, verbose=False,
            )  # fmt: skip
    except torch.onnx.errors.OnnxExporterError as wrong:
        reason = str(wrong.__cause__ or wrong).strip().split("\n")[0]
        raise DeploymentError(f"--onnx: torch cannot write this model ({reason}); nothing was written") from wrong
    for node in written.model.graph.all_nodes():
        node.metadata_props.clear()  # where in the source each is from: more bytes than a small model's weights
    return written
