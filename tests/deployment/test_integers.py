"""Layers that round, in onnxruntime: it computes them in whole numbers, and says what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from nas.deployment import Deployable, onnx_file
from nas.deployment.integers import in_integers
from nas.supernets.int8_weights import with_int8
from nas.supernets.models.int8 import RoundedLinear

pytest.importorskip("onnxruntime", reason="ONNX is an extra: pip install 'nas[onnx]'")
IMAGE = (5, 8, 8)


def of_tokens(bias: bool) -> nn.Module:
    """Two layers that round, of tokens: channels of 64 numbers each."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(2), RoundedLinear(64, 32, bias=bias), nn.GELU(), RoundedLinear(32, 7)).eval()


def written(model: nn.Module, folder: Path) -> Path:
    onnx_file.export(Deployable(model, IMAGE, ("outputs",)), folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize("bias", [True, False])
def test_onnxruntime_computes_them_in_whole_numbers(bias: bool, tmp_path: Path) -> None:
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "runs.onnx"), onnx_file.ERRORS
    onnxruntime.InferenceSession(written(of_tokens(bias), tmp_path), options)
    runs = [node.op_type for node in onnx.load(tmp_path / "runs.onnx").graph.node]
    assert runs.count("MatMulIntegerToFloat") == 2
    assert not {"MatMul", "Gemm", "DequantizeLinear"} & set(runs)


def test_every_token_has_its_own_scale(tmp_path: Path) -> None:
    model = of_tokens(bias=True)
    sizes = torch.tensor([1e-3, 1.0, 0.0, 1e3, 1e6])
    images = torch.randn(3, *IMAGE) * sizes[:, None, None]
    (answers,) = onnx_file.session(written(model, tmp_path))(images)
    with torch.no_grad():
        expected = model(images)
    greatest = expected.abs().amax(-1, keepdim=True)
    torch.testing.assert_close(answers / greatest, expected / greatest, atol=1e-5, rtol=0)


def test_the_greatest_sums_do_not_overflow(tmp_path: Path) -> None:
    """All numbers are 127 or -127: two products of them are more than 16 bits hold."""
    torch.manual_seed(0)
    layer = RoundedLinear(320, 16, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.sign(torch.randn(16, 320)))
        layer.weight[0] = 1.0
    images = torch.cat([torch.ones(1, *IMAGE), torch.sign(torch.randn(4, *IMAGE))])
    model = nn.Sequential(nn.Flatten(), layer).eval()
    (answers,) = onnx_file.session(written(model, tmp_path))(images)
    with torch.no_grad():
        torch.testing.assert_close(answers, model(images), atol=1e-3, rtol=0)
    assert answers[0, 0] == pytest.approx(320, abs=1e-3)


def test_a_model_stays_as_it_is() -> None:
    plain, model = nn.Linear(4, 2), of_tokens(bias=True)
    assert in_integers(plain) is plain
    stored = with_int8(model)
    for before in (model, stored):
        kinds = [type(module) for module in before.modules()]
        in_integers(before)
        assert [type(module) for module in before.modules()] == kinds
