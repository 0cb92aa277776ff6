"""Studies whose trainings take several processes: under torchrun, and what is refused before anything trains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from studies_fakes import TINY

from nas.errors import ConfigError, RunError
from nas.studies.file.resolve import resolve
from nas.studies.file.settings import differences
from nas.studies.run.record import Record
from nas.studies.run.results import BASE, EXPLORE, SUPERNET
from nas.studies.stages.trainers import trainer, workers
from nas.studies.study import Study
from nas.system import cluster
from nas.training import fit

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "nas.cli"]


@pytest.mark.timeout(600)
def test_a_study_under_torchrun_is_that_of_one_process(tiny: Path, tmp_path: Path, finished: Study) -> None:
    """The first process runs it, and the other one leaves when it is done."""
    command = [*TORCHRUN, "run", str(tiny), "--folder", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=500, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report: ") == 1
    alone, there = finished.record, Record.open(tmp_path / "run")
    for stage in (BASE, SUPERNET):
        ours, theirs = (record.result(stage).history for record in (alone, there))
        assert [epoch.loss for epoch in theirs] == pytest.approx([epoch.loss for epoch in ours], abs=1e-4)
    assert there.result(EXPLORE).winner.digest == alone.result(EXPLORE).winner.digest
    assert not list((tmp_path / "run").rglob("*training.safetensors"))


@pytest.mark.parametrize("stage", ["base", "supernet", "retrain"])
def test_no_workers_at_all(stage: str) -> None:
    with pytest.raises(ConfigError, match=rf"{stage}\.workers: found 0; allowed: .*1"):
        resolve(TINY, [f"{stage}.workers=0"])


def test_without_ray_the_missing_package_is_said_before_anything_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    study = Study.from_yaml(TINY, overrides=["supernet.workers=2"], folder=tmp_path / "run")
    with pytest.raises(RunError, match=r"supernet\.workers: found 2, but the package 'ray' is not installed: pip ins"):
        study.run(quiet=True)
    assert not study.folder.path.exists()


def test_an_address_where_no_cluster_answers(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'nas[ray]'")
    ray.shutdown()
    settings = ["retrain.workers=2", "ray.address=127.0.0.1:9"]
    study = Study.from_yaml(TINY, overrides=settings, folder=tmp_path / "run")
    with pytest.raises(RunError, match=r"retrain\.workers: found 2, but ray\.address: .*no cluster answers") as caught:
        study.run(quiet=True)
    assert "\n" not in str(caught.value)
    assert not study.folder.path.exists()


def test_workers_on_ray_under_torchrun_exclude_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    study = Study.from_yaml(TINY, overrides=["base.workers=2"], folder=tmp_path / "run")
    with pytest.raises(RunError, match=r"base\.workers: found 2 .*under torchrun, which started 2 processes"):
        study.run(quiet=True)
    study = Study.from_yaml(TINY, overrides=["device=cuda:0"], folder=tmp_path / "run")
    with pytest.raises(RunError, match="device: found 'cuda:0' under torchrun"):
        study.run(quiet=True)


@pytest.mark.parametrize("gpus", ["0.5", "64"])
def test_gpus_that_workers_cannot_have(gpus: str, tmp_path: Path) -> None:
    settings = ["base.workers=2", f"ray.gpus={gpus}"]
    with pytest.raises(RunError, match=rf"ray\.gpus: found {gpus}"):
        Study.from_yaml(TINY, overrides=settings, folder=tmp_path / "run").run(quiet=True)


def test_one_worker_is_the_plain_loop_and_a_run_goes_on_with_another_number() -> None:
    one, two = resolve(TINY), resolve(TINY, ["supernet.workers=2", "ray.cpus=2"])
    assert trainer(one, SUPERNET) is trainer(two, BASE) is fit
    assert workers(two, SUPERNET) == 2
    assert differences(one.settings, two.settings) == []
    assert differences(one.settings, resolve(TINY, ["supernet.lr=0.5"]).settings)


DAN = ["strategy={use: dan, training: {epochs: 2}}", "baseline=2"]


def test_a_strategy_that_trains_does_so_on_workers_and_its_run_goes_on_with_another_number() -> None:
    one, two = resolve(TINY, DAN), resolve(TINY, [*DAN, "strategy.workers=2", "ray.cpus=2"])
    assert (workers(one, EXPLORE), workers(two, EXPLORE), workers(two, BASE)) == (1, 2, 1)
    assert trainer(one, EXPLORE) is fit
    earlier = {**one.settings, "strategy": {k: v for k, v in one.settings["strategy"].items() if k != "workers"}}
    assert differences(one.settings, two.settings) == differences(earlier, two.settings) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([*DAN, "ray.cpus=2"], r"ray: found .*, which is not read with .*a strategy that trains, with workers above 1"),
        (["strategy.workers=2"], r"strategy\.workers"),
        (
            ["strategy={use: knapsack, importance: magnitude, workers: 2}"],
            r"workers: found 2, but its importance trains nothing; allowed: 1, or importance: \{use: l1_gates\}",
        ),
    ],
)
def test_workers_that_would_have_nothing_to_train(settings: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Study.from_yaml(TINY, overrides=settings)
