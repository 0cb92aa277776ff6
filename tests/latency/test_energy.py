"""Energy: what meters say, tables of it, and a clear refusal where there are none."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from latency_tables import by_units
from studies_fakes import TINY

from nas import Limit, SearchSpace, Supernet, cli
from nas.errors import ConfigError, LatencyError
from nas.latency import meters
from nas.latency.building import measured_table
from nas.latency.devices.cpu_torch import CpuTorch
from nas.latency.devices.cuda_torch import CudaTorch
from nas.latency.devices.folder import Folder
from nas.latency.timing import Forward
from nas.studies.file.searched import space_of
from nas.studies.study import Study
from nas.supernets import build

SPACE = """
model: vit_tiny_patch16_224
model_args: {img_size: 8, patch_size: 4, in_chans: 1, embed_dim: 16, depth: 1, num_heads: 2, num_classes: 10}
choices:
  heads: {size: [1, 2]}
  mlp: {size: [8, 64]}
"""


def zone(folder: Path, number: int, microjoules: int, most: int = 999_999) -> Path:
    path = folder / f"intel-rapl:{number}"
    path.mkdir(exist_ok=True)
    (path / "max_energy_range_uj").write_text(f"{most}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    return path


def test_packages_are_added_and_a_full_counter_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "POWERCAP", tmp_path)
    (tmp_path / "intel-rapl:0:0").mkdir()  # a part of a package, whose energy is in that of the package
    zone(tmp_path, 0, 100_000)
    zone(tmp_path, 1, 900_000)
    joules = meters.of_processor()
    assert joules() == 0
    zone(tmp_path, 0, 150_000)
    zone(tmp_path, 1, 50_000)
    assert joules() == pytest.approx(0.05 + 0.15)
    zone(tmp_path, 0, 150_001)
    assert joules() == pytest.approx(0.200001)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("many")
    with pytest.raises(LatencyError, match="no count of microjoules"):
        joules()


def test_a_pass_takes_what_the_meter_went_up_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "LEAST", 0.01)
    passes: list[int] = []
    forward = Forward(torch.zeros(1), (lambda x: passes.append(1) or x,))
    assert meters.by(lambda: 3.0 * len(passes))(forward) == [pytest.approx(3)]
    assert len(passes) > 1


def test_what_passed_between_moves_of_a_slow_meter_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It moves with every seventh pass: what was before its first move and after its last is not told by it."""
    monkeypatch.setattr(meters, "LEAST", 0.0)
    passes: list[int] = []
    forward = Forward(torch.zeros(1), (lambda x: passes.append(1) or x,))
    assert meters.by(lambda: 21.0 * ((len(passes) + 3) // 7))(forward) == [pytest.approx(3)]
    assert len(passes) == 4 + 7 * meters.MOVES


def test_a_gpu_is_known_to_its_meter_by_its_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two GPUs torch sees the second one, as its first."""
    driver = SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID={"GPU-a": 7_000, "GPU-b": 5_000}.__getitem__,
        nvmlDeviceGetTotalEnergyConsumption=lambda millijoules: millijoules,
    )
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    monkeypatch.setattr(meters, "find_spec", lambda name: name)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid="ba"[index]))
    assert [meters.of_gpu(index)() for index in (0, 1)] == [5, 7]


def test_a_meter_that_stands_still_is_no_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "MOST", 0.01)
    with pytest.raises(LatencyError, match=r"the meter moved 0 times in 0.01 s; allowed: more than 10"):
        meters.by(lambda: 5.0)(Forward(torch.zeros(1), (lambda x: x,)))


def test_a_table_of_it_can_be_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a meter that takes a watt while the processor computes."""
    monkeypatch.setattr(meters, "LEAST", 0.0)
    monkeypatch.setattr(meters, "of_processor", lambda: time.thread_time)
    monkeypatch.setattr("nas.latency.passes.MOST_NOISE", 9.0)
    monkeypatch.setattr("nas.latency.passes.MOST_DRIFT", 9.0)
    space = SearchSpace.from_yaml(SPACE)
    supernet = Supernet(build(space.model, space.model_args), space)
    table = measured_table(supernet, (1, 8, 8), CpuTorch(threads=1), seconds=0.0, energy=True).table
    assert table.quantity == "energy"
    cost = supernet.cost.beside({"energy": table.tabulated(space)})
    assert "throughput" not in cost.bases
    assert Limit(cost, energy="100%").describe().endswith("J")


@pytest.mark.parametrize(
    ("device", "said"),
    [
        (CpuTorch(), "this machine has no meter of its processor"),
        (CudaTorch(index=1023), "found 0 GPUs|NVML is not installed|wanted is number 1023"),
        (Folder(path="models"), "has no meter; allowed: this machine's processor or GPU"),
    ],
)
def test_without_a_meter_that_is_said(
    device: object, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(meters, "POWERCAP", tmp_path / "none")
    with pytest.raises(LatencyError, match=said):
        device.meter()  # type: ignore[attr-defined]


def test_the_command_and_a_study_say_so_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(meters, "POWERCAP", tmp_path / "none")
    (tmp_path / "space.yaml").write_text(SPACE)
    assert cli.main(["bench", str(tmp_path / "space.yaml"), "--energy"]) == 2
    assert "has no meter of its processor" in capsys.readouterr().err
    (tmp_path / "tiny.yaml").write_text(TINY)
    by_units(space_of(tmp_path / "tiny.yaml")).write(tmp_path / "table.json")
    with pytest.raises(ConfigError, match="a table of latency; allowed: one of energy: nas bench STUDY --energy"):
        Study.from_yaml(TINY, overrides=[f"energy.table={tmp_path / 'table.json'}"])
    with pytest.raises(ConfigError, match=r"'energy', known from a table alone \(nas bench STUDY --energy --to FILE\)"):
        Study.from_yaml(TINY, overrides=["objectives={accuracy: max, energy: min}"])
