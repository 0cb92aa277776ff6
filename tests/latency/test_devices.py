"""Devices: each times small models, or says in a line why it cannot; times of others are hostile until read."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from latency_tables import Counting
from torch import Tensor, nn
from typer.testing import CliRunner

from nas import cli
from nas.documents.plugged import plugin_of
from nas.errors import ConfigError, LatencyAwaitedError, LatencyError
from nas.latency import devices
from nas.latency.devices import DEVICE, Device, options_of
from nas.latency.devices.cpu_torch import CpuTorch
from nas.latency.devices.folder import FEWEST, SCRIPT, TIMES, Folder
from nas.latency.devices.openvino import OpenVino
from nas.latency.timing import Forward, by_processor, by_wall

IMAGE = (3, 8, 8)


class Small(nn.Module):
    """Its work grows with `repeats`."""

    def __init__(self, repeats: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), *(nn.Linear(192, 192) for _ in range(repeats)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def passes(device: Device, *repeats: int) -> list[Forward]:
    images = device.images(torch.zeros(device.batch, *IMAGE))
    models = {count: device.prepared(Small(count).eval()) for count in repeats}
    return [Forward(images, (model,), f"small{count}") for count, model in models.items()]


@pytest.mark.parametrize("options", ["cpu_torch", {"use": "cpu_torch", "precision": "bfloat16", "threads": 1}])
def test_torch_on_the_processor_times_whole_passes_and_their_steps(options: str | dict[str, object]) -> None:
    device = plugin_of(options, DEVICE)
    assert device.stepwise
    with torch.inference_mode():
        (one,), (many,) = device.time(passes(device, 1, 60), 0)
        layers = passes(device, 1)[0].steps[0].layers
        ((*steps,),) = device.time([Forward(device.images(torch.zeros(1, *IMAGE)), tuple(layers))], 0)
    assert many.milliseconds > 3 * one.milliseconds > 0
    assert [step.milliseconds > 0 for step in steps] == [True, True]
    dtypes = {parameter.dtype for parameter in layers.parameters()}
    assert dtypes == {torch.bfloat16 if "precision" in options else torch.float32}
    assert torch.get_num_threads() == 1 or device.settled() == device


def test_one_thread_is_timed_by_its_own_time_and_several_by_the_wall() -> None:
    assert CpuTorch(threads=1).clock is by_processor
    assert CpuTorch(threads=2).clock is by_wall
    assert CpuTorch().settled().threads == torch.get_num_threads()


@pytest.mark.long
def test_torch_compiles_whole_models() -> None:
    device = CpuTorch(threads=1, compile=True)
    assert not device.stepwise
    with torch.inference_mode():
        (one,), (many,) = device.time(passes(device, 1, 40), 0)
    assert many.milliseconds > one.milliseconds > 0


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models that nobody has timed."""
    pytest.importorskip("onnxruntime", reason="ONNX is an extra: pip install 'nas[onnx]'")
    folder = tmp_path_factory.mktemp("phone") / "models"
    device = Folder(path=str(folder), name="phone")
    with torch.inference_mode(), pytest.raises(LatencyAwaitedError, match="2 of 2 models have no times yet"):
        device.time(passes(device, 1, 40))
    return folder


def test_onnxruntime_times_whole_models(waiting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def written(forward: Forward) -> bytes:
        return (waiting / f"{forward.name}.onnx").read_bytes()

    device = plugin_of({"use": "onnxruntime", "threads": 1, "batch": 2}, DEVICE)
    assert not device.stepwise
    monkeypatch.setattr("nas.latency.devices.onnxruntime.content_of", written)
    with torch.inference_mode():
        (one,), (many,) = device.time(passes(device, 1, 40), 0)
    assert many.milliseconds > 3 * one.milliseconds > 0
    assert set(device.about) == {"processor", "onnxruntime"}


def test_openvino_times_whole_models_where_it_is_installed() -> None:
    device = OpenVino(threads=1)
    if importlib.util.find_spec("openvino") is None:
        with pytest.raises(LatencyError, match="device openvino: not installed: pip install openvino"):
            device.time(passes(device, 1), 0)
        return
    with torch.inference_mode():
        (one,), (many,) = device.time(passes(device, 1, 40), 0)
    assert many.milliseconds > one.milliseconds > 0


@pytest.mark.parametrize("name", devices.names())
def test_options_are_plain_and_make_the_same_device_again(name: str) -> None:
    device = plugin_of({"use": name, "batch": 3, **({"path": "models"} if name == "folder" else {})}, DEVICE)
    assert options_of(device)["use"] == name
    assert plugin_of(options_of(device), DEVICE) == device


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("cpu_troch", "did you mean 'cpu_torch'"),
        ("{use: cpu_torch, threads: 0}", "threads: found 0; allowed: a whole number from 1 to 1024"),
        ("{use: cpu_torch, precision: int3}", "precision: found 'int3'"),
        ("{use: folder}", "path"),
        ("{use: cuda_torch, index: 1000}", "and wanted is number 1000"),
        ("{use: tensorrt, index: 1000}", "device tensorrt: found 0 GPUs, and wanted is number 1000"),
        ("{use: tensorrt, precision: int8}", "precision: found 'int8'"),
    ],
)
def test_what_is_no_device_is_said_in_a_line(said: str, fault: str, tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("model: vit_tiny_patch16_224\nchoices: {heads: {size: [1, 2, 3]}}\n")
    with pytest.raises((ConfigError, LatencyError)) as refused:
        CliRunner().invoke(cli.app, ["bench", str(space), "--device", said], catch_exceptions=False)
    assert fault in " ".join(str(refused.value).split())


def test_what_somebody_else_has_timed_is_read_back(waiting: Path) -> None:
    """By the script that lies in the folder, which knows nothing of nas."""
    assert sorted(path.name for path in waiting.iterdir()) == [SCRIPT, "small1.onnx", "small40.onnx"]
    done = subprocess.run([sys.executable, "-I", SCRIPT, "7"], cwd=waiting, capture_output=True, text=True, check=True)
    assert "round 7 of 7" in done.stdout
    device = Folder(path=str(waiting), name="phone")
    with torch.inference_mode():
        (one,), (many,) = device.time(passes(device, 1, 40))
        assert many.milliseconds > 2 * one.milliseconds > 0
        with pytest.raises(LatencyAwaitedError, match="1 of 2 models have no times yet"):
            device.time(passes(device, 1, 2))
    (waiting / TIMES).unlink()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("model,ms\n", "no table of times; allowed: a first line model,milliseconds"),
        ("model,milliseconds\nsmall1,fast\n", ":2: found 'fast'; allowed: milliseconds above 0"),
        ("model,milliseconds\nsmall1,nan\n", "found 'nan'"),
        ("model,milliseconds\nsmall1,-1\n", "found '-1'"),
        ("model,milliseconds\nsmall1,1e400\n", "found '1e400'"),
        ("model,milliseconds\nsmall1,1,2\n", ":2: found 3 columns"),
        ("model,milliseconds\nsmall1,\x1b[31m\n", r"found '\x1b[31m'"),
        (
            "model,milliseconds\n" + "small1,1\n" * (FEWEST - 1),
            f"found {FEWEST - 1} times of small1; allowed: {FEWEST}",
        ),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_table_of_times_that_is_none_is_refused(content: str | bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / TIMES).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(LatencyError) as refused:
        Folder(path=str(tmp_path)).time(passes(Folder(path=""), 1))
    assert not isinstance(refused.value, LatencyAwaitedError)
    assert said in str(refused.value)


def test_names_that_nobody_asked_for_are_left_out(tmp_path: Path) -> None:
    rows = [f"{name},{1 + k / 100}" for name in ("small1", "../../etc/passwd") for k in range(FEWEST)]
    (tmp_path / TIMES).write_text("\n".join(["model,milliseconds", *rows]))
    ((one,),) = Folder(path=str(tmp_path)).time(passes(Folder(path=""), 1))
    assert one.milliseconds == pytest.approx(np.quantile([1 + k / 100 for k in range(FEWEST)], 0.1))
    assert [path.name for path in tmp_path.iterdir()] == [TIMES]


def test_a_table_whose_device_is_none_is_refused() -> None:
    from nas.latency.table import Conditions

    conditions = Conditions({"use": "nowhere"}, {}, (3, 8, 8), {}, 1, 0.0)
    with pytest.raises(LatencyError, match=r"a table of latencies: its device: .*nowhere"):
        assert conditions.device
    assert not conditions.here
    assert options_of(Counting())["use"] == "counting"
