"""ONNX in int8: onnxruntime's static quantisation, whose ranges are measured on pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from nas.deployment import onnx_file
from nas.deployment.deployable import Deployable
from nas.errors import DeploymentError
from nas.system.quiet import quiet

LAYERS = ("MatMul", "Gemm", "Conv")
"""What is computed in int8; norms, softmax and activation functions stay as they are."""
CALIBRATION = 256
"""Pictures on which ranges are measured, at most."""
BATCH = 32
"""Of them at a time."""


@final
@dataclass(frozen=True, kw_only=True)
class Quantised:
    """What became of a model.

    before, after     metrics of the model and of the file, on `images` images of the test split
    calibration       images of the training split on which ranges were measured
    bytes_before, bytes_after   of the files
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    images: int
    calibration: int
    bytes_before: int
    bytes_after: int

    def json(self) -> bytes:
        """For the file beside the model."""
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    def sentence(self, metric: str) -> str:
        """In words."""
        accuracies = f"{metric} {100 * self.before[metric]:.2f} % before, {100 * self.after[metric]:.2f} % after"
        sizes = f"{self.bytes_before / 1e6:.2f} MB before, {self.bytes_after / 1e6:.2f} MB after"
        return f"int8, calibrated on {self.calibration} images: {accuracies} ({self.images} test images); {sizes}"


def write(original: Deployable, path: Path, whole: Path, images: Tensor) -> None:
    """Writes to `path` the model of the ONNX file `whole`, quantised by what its layers see of `images` (prepared,
    N x C x H x W), reads it again and runs it.

    Raises `DeploymentError` where onnxruntime cannot, or where what is read gives no numbers. How good these are, tells
    their accuracy only.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with quiet():
        try:
            quantize_static(
                str(whole), str(path), _reader(images), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, op_types_to_quantize=list(LAYERS),
            )  # fmt: skip
            run = onnx_file.session(path)
        except (ValueError, RuntimeError) as wrong:
            reason = str(wrong).strip().split("\n")[0]
            raise DeploymentError(f"--int8: onnxruntime cannot quantise this model ({reason})") from wrong
    for part in (images[:2], images[:5]):
        expected, answers = original.answers(part), run(part)
        for name, mine, its in zip(original.outputs, expected, answers, strict=True):
            if its.shape != mine.shape or not torch.isfinite(its).all():
                raise DeploymentError(f"--int8: '{name}' is no longer {tuple(mine.shape)} numbers; nothing was written")


def _reader(images: Tensor) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # its package has no types
        """Hands out one batch after another, then None."""

        def __init__(self) -> None:
            self._batches = _batches(images)

        def get_next(self) -> dict[str, Any] | None:
            return next(self._batches, None)

    return Reader()


def _batches(images: Tensor) -> Iterator[dict[str, Any]]:
    for start in range(0, len(images), BATCH):
        yield {onnx_file.INPUT: images[start : start + BATCH].numpy()}
