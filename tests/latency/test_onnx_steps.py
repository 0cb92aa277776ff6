"""Models written as ONNX step by step are those that are written in one."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("onnxruntime", reason="ONNX is an extra: pip install 'nas[onnx]'")
import onnx
import onnxruntime

from nas import SearchSpace, Supernet
from nas.deployment import onnx_file
from nas.latency.devices._exported import content_of
from nas.latency.devices.onnxruntime import OnnxRuntime
from nas.latency.onnx_steps import OnnxStep
from nas.latency.passes import Passes
from nas.latency.timing import Forward
from nas.supernets import build
from nas.supernets.of_space import image_of

VIT = """
model: vit_tiny_patch16_224
model_args: {img_size: 16, patch_size: 4, embed_dim: 16, depth: 2, num_heads: 2, num_classes: 10}
choices:
  heads: {size: [1, 2]}
  tokens: {keep: [0.5, 1.0]}
  mlp: {size: [8, 64]}
  bits: {bits: [8, 32]}
"""
SWIN = """
model: swin_tiny_patch4_window7_224
model_args: {img_size: 32, window_size: 4, embed_dim: 16, depths: [1, 2], num_heads: [2, 4], num_classes: 10}
choices:
  heads: {size: [0.5, 1.0]}
  mlp: {size: [0.25, 0.5, 1.0]}
"""


def passes(text: str) -> Passes:
    torch.manual_seed(0)
    space = SearchSpace.from_yaml(text)
    supernet = Supernet(build(space.model, space.model_args), space).eval()
    return Passes(supernet, OnnxRuntime(threads=1), torch.randn(1, *image_of(space)))


def operations(content: bytes, folder: Path) -> list[str]:
    """What onnxruntime makes of a file: its operations, in their order."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = onnx_file.ERRORS
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]


@pytest.mark.parametrize("text", [VIT, SWIN])
@torch.no_grad()
def test_a_model_of_steps_is_the_one_that_was_written_in_one(text: str, tmp_path: Path) -> None:
    """Of the first sub-network all weights are its own, so that both say the same, too."""
    of = passes(text)
    one = of.supernet.space.sample(np.random.default_rng(2))
    forward = of._forward(one, in_steps=False)
    in_steps = content_of(forward)
    whole = content_of(Forward(of.images, (of.supernet.extract(one).eval(),)))
    assert operations(in_steps, tmp_path) == operations(whole, tmp_path)
    images = np.random.default_rng(0).standard_normal((3, *of.images.shape[1:]), dtype=np.float32)
    (said,), (wanted,) = (onnx_file.running(file).run(None, {onnx_file.INPUT: images}) for file in (in_steps, whole))
    np.testing.assert_allclose(said, wanted, rtol=1e-5, atol=1e-5)


def test_steps_of_one_signature_are_one_file() -> None:
    of, rng = passes(VIT), np.random.default_rng(0)
    some = [of.supernet.space.sample(rng) for _ in range(20)]
    steps = {step for one in some for step in of._forward(one, in_steps=False).steps}
    assert len(steps) == len({signature for one in some for signature in of.signatures.of(one).values()})
    assert len(steps) < 20 * 4
    assert of._model().steps == of._forward(of.supernet.space.largest, in_steps=False).steps


@torch.no_grad()
def test_a_step_that_is_written_holds_its_model_no_longer() -> None:
    step = OnnxStep(model := nn.Linear(4, 2), model, (4,))
    once, held = step.written(torch.float32), weakref.ref(model)
    del model
    gc.collect()  # torch's exporter leaves circles
    assert held() is None
    assert step.written(torch.float32) is once
