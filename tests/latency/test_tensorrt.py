"""TensorRT: what is asked of it, on a stand-in that computes on the processor; and the real one, where it is."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("onnxruntime", reason="ONNX is an extra: pip install 'nas[onnx]'")
import onnx
from fake_tensorrt import STREAM, BuilderFlag, Fake

from benchmarks.gpu import tensorrt as gpu_part
from benchmarks.gpu.exactness import IMAGES
from benchmarks.gpu.latency import BATCH
from benchmarks.gpu.machine import Machine
from benchmarks.gpu.models import cases
from nas.errors import LatencyError
from nas.latency import meters
from nas.latency.devices._gpu import OnGpu
from nas.latency.devices.cuda_torch import CudaTorch
from nas.latency.devices.tensorrt import TensorRt
from nas.latency.timing import Forward, by_processor

REAL = torch.cuda.is_available() and importlib.util.find_spec("tensorrt") is not None


class Normed(nn.Module):
    """Its work grows with `layers`."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), *(nn.Linear(192, 192) for _ in range(layers)), nn.LayerNorm(192))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def passes(device: OnGpu, *layers: int) -> list[Forward]:
    """Each through images of its own."""
    torch.manual_seed(0)
    models = {count: device.prepared(Normed(count).eval()) for count in layers}
    return [
        Forward(device.images(torch.randn(device.batch, 3, 8, 8)), (model,), f"normed{count}")
        for count, model in models.items()
    ]


@pytest.fixture
def current(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """GPUs whose memory is the processor's; the streams that are the current ones, the innermost last."""
    entered = [SimpleNamespace(cuda_stream=0, index=0)]

    @contextlib.contextmanager
    def stream(one: SimpleNamespace) -> Iterator[None]:
        entered.append(one)
        yield
        entered.pop()

    def current_stream(index: int | None = None) -> SimpleNamespace:
        return entered[-1] if index is None else SimpleNamespace(cuda_stream=0, index=index)

    monkeypatch.setattr(OnGpu, "check", lambda self: None)
    monkeypatch.setattr(OnGpu, "place", property(lambda self: (torch.device("cpu"), getattr(torch, self.precision))))
    monkeypatch.setattr("nas.latency.devices._gpu.by_events", by_processor)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "current_stream", current_stream)
    monkeypatch.setattr(torch.cuda, "Stream", lambda index: SimpleNamespace(cuda_stream=STREAM, index=index))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    return entered


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, current: list[SimpleNamespace]) -> Callable[..., Fake]:
    """Puts a stand-in in the place of TensorRT."""

    def install(**options: Any) -> Fake:
        fake = Fake(**options)
        monkeypatch.setitem(sys.modules, "tensorrt", fake.module())
        return fake

    return install


@pytest.mark.parametrize(("precision", "close"), [("float32", 1e-5), ("float16", 5e-3)])
@torch.inference_mode()
def test_engines_take_the_images_and_give_the_logits_of_their_models(
    precision: Any, close: float, installed: Callable[..., Fake]
) -> None:
    fake, device = installed(), TensorRt(batch=3, precision=precision)
    given = passes(device, 1, 3)
    for engine, model in zip(device.ready(given), given, strict=True):
        logits, wanted = engine(), model()
        assert isinstance(logits, Tensor)
        assert isinstance(wanted, Tensor)
        assert logits.dtype == wanted.dtype == getattr(torch, precision)
        torch.testing.assert_close(logits, wanted, atol=close, rtol=close)
        model.inputs.mul_(-2)
        torch.testing.assert_close(engine(), model(), atol=close, rtol=close)
    assert len(fake.streams) == 4


@torch.inference_mode()
def test_an_engine_is_built_once_for_each_pass_of_the_batch_that_is_asked_for(installed: Callable[..., Fake]) -> None:
    fake, device = installed(), TensorRt(batch=5)
    assert not device.stepwise
    (one,), (many,) = device.time(passes(device, 1, 40), 0.1)
    assert many.milliseconds > 2 * one.milliseconds > 0
    assert [shape for shape, _ in fake.built] == [(5, 3, 8, 8)] * 2
    assert len(fake.streams) > 10


@torch.inference_mode()
def test_engines_share_what_is_known_of_kernels_and_compute_in_float32(installed: Callable[..., Fake]) -> None:
    fake, device = installed(), TensorRt()
    device.ready(passes(device, 1, 2))
    (_, first), (_, second) = fake.built
    assert first is second
    assert first.cache is not None
    assert BuilderFlag.TF32 not in first.flags


@torch.inference_mode()
def test_passes_run_in_a_stream_of_their_own_on_the_gpu_of_the_index(
    installed: Callable[..., Fake], current: list[SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[tuple[int, int]] = []

    def record(forward: Forward) -> list[float]:
        recorded.append((current[-1].index, current[-1].cuda_stream))
        return by_processor(forward)

    monkeypatch.setattr("nas.latency.devices._gpu.by_events", record)
    fake = installed()
    for device, stream in ((TensorRt(index=2), STREAM), (CudaTorch(index=1), 0)):
        device.time(passes(device, 1), 0)
        assert set(recorded) == {(device.index, stream)}
        recorded.clear()
    assert set(fake.streams) == {STREAM}
    assert len(current) == 1


@torch.inference_mode()
def test_the_file_of_bfloat16_is_in_bfloat16(installed: Callable[..., Fake]) -> None:
    fake, device = installed(hopeless=True), TensorRt(precision="bfloat16")
    with pytest.raises(LatencyError):
        device.ready(passes(device, 1))
    (graph,) = [model.graph for model in fake.parsed]
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.BFLOAT16
    assert {tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 2} == {onnx.TensorProto.BFLOAT16}


@torch.inference_mode()
def test_joules_are_those_of_engines(installed: Callable[..., Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "LEAST", 0.0)
    fake, device = installed(), TensorRt(index=3)
    monkeypatch.setattr(meters, "of_gpu", lambda index: lambda: float(index * len(fake.streams)))
    ((joules,),) = device.metered(passes(device, 1), 0)
    assert joules.milliseconds == pytest.approx(3000)


@torch.inference_mode()
def test_what_is_compiled_is_metered_compiled(current: list[SimpleNamespace], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "LEAST", 0.0)
    calls: list[object] = []
    monkeypatch.setattr(torch, "compile", lambda step: lambda x: calls.append(step) or step(x))
    monkeypatch.setattr(meters, "of_gpu", lambda _: lambda: 2.0 * len(calls))
    ((joules,),) = CudaTorch(compile=True).metered(passes(CudaTorch(), 1), 0)
    assert joules.milliseconds == pytest.approx(2000)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"unknown": frozenset({"LayerNormalization"})},
            r"its parser does not take normed1: LayerNormalization \(0/node_.*\): Plugin not found,\\nare the plugin",
        ),
        ({"hopeless": True}, r"no engine of normed1 could be built: Error Code 10: .*\(Could not find any"),
        ({"is_full": True}, "no room for normed1 on the GPU; a smaller batch needs less: it does not say why"),
        ({"stops": True}, "normed1 does not run: it does not say why"),
        ({"dead": True}, "TensorRT does not start: CUDA initialization failure with error: 35"),
    ],
)
@torch.inference_mode()
def test_what_it_cannot_do_is_said_in_a_line(
    options: dict[str, Any], said: str, installed: Callable[..., Fake]
) -> None:
    installed(**options)
    with pytest.raises(LatencyError, match=f"device tensorrt: {said}") as refused:
        TensorRt().time(passes(TensorRt(), 1), 0)
    assert "\n" not in str(refused.value)


def test_a_gpu_is_asked_for_first_and_then_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)  # to import it is an error
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(LatencyError, match="device tensorrt: found 2 GPUs, and wanted is number 2"):
        TensorRt(index=2).check()
    with pytest.raises(LatencyError, match=r"device tensorrt: cannot be imported \(.*\): pip install tensorrt"):
        TensorRt(index=1).check()


def test_what_times_depend_on_is_the_gpu_and_the_version(installed: Callable[..., Fake]) -> None:
    installed()
    assert TensorRt(index=1).about == {"gpu": "GPU 1", "tensorrt": "11.0.0"}
    assert list(CudaTorch().about) == ["gpu", "torch", "cuda"]


def test_make_gpu_measures_it_beside_torch(installed: Callable[..., Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_part, "SECONDS", 0.0)
    machine = Machine(torch.device("cpu"), small=True)
    monkeypatch.setattr(gpu_part, "freed", lambda machine: cases(machine)[:1])
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    (refused,) = gpu_part.measure(machine)
    assert refused["what"].startswith("left out: device tensorrt: cannot be imported")
    fake = installed()
    rows = list(gpu_part.measure(machine))
    assert [row["unit"] for row in rows] == ["s", "of the output", "ms", "ratio", "ms", "ratio"]
    assert 0 < rows[1]["value"] < rows[1]["bound"]
    assert [shape[0] for shape, _ in fake.built] == [IMAGES, BATCH, BATCH]


@pytest.mark.skipif(not REAL, reason="no GPU, or no TensorRT")
@pytest.mark.parametrize(("precision", "close"), [("float32", 1e-4), ("float16", 1e-2), ("bfloat16", 5e-2)])
@torch.inference_mode()
def test_real_engines_say_what_torch_says(precision: Any, close: float) -> None:
    device = TensorRt(batch=4, precision=precision)
    one, many = passes(device, 1, 40)
    with torch.cuda.stream(device.stream()):
        (engine,) = device.ready([one])
        logits = engine()
        torch.cuda.synchronize()
    (model,) = one.steps
    wanted = copy.deepcopy(model).to(device.place[0])(one.inputs)
    torch.testing.assert_close(logits, wanted, atol=close, rtol=close)
    (few,), (more,) = device.time([one, many], 1.0)
    assert more.milliseconds > few.milliseconds > 0
