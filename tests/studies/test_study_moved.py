"""Runs that change places, and several drivers at once: copies of a folder, a shared store, images elsewhere."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studies_fakes import TINY, run_and_die, run_and_hold
from studies_partial import found, run_up_to

from nas.errors import RunError
from nas.studies.run.record import Record
from nas.studies.study import Study

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["nas.studies.study", "nas.strategies.evolution", "nas.studies.stages.report"])


def started(target: Any, folder: Path, **options: Any) -> BaseProcess:
    process = PROCESSES.Process(target=target, args=(folder,), kwargs=options)
    process.start()
    return process


def test_a_copy_of_a_run_is_refused_while_its_driver_lives_and_then_continues(finished: Study, tmp_path: Path) -> None:
    """The way of a run to another machine, with a store that both see."""
    folder, copy = tmp_path / "run", tmp_path / "copy"
    process = started(run_and_hold, folder, trials=5, overrides=[f"store=sqlite:///{tmp_path / 'shared.sqlite'}"])
    try:
        deadline = time.monotonic() + 120
        while not (folder / "holding").exists() or Record.open(folder).running().dropna().empty:
            assert process.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        shutil.copytree(folder, copy)
        under_way = Study.open(copy).running()
        fifth = finished.trials().query("strategy == 'evolution' and number == 5")
        assert under_way[["stage", "strategy", "number", "digest", "pid", "stale"]].values.tolist() == [
            ["explore", "evolution", 5, fifth["digest"].item(), process.pid, False]
        ]
        with pytest.raises(RunError, match=rf"process {process.pid} on .* is running this study \(stage explore;"):
            Study.open(copy, trust=True).run(quiet=True)
    finally:
        process.kill()
        process.join()
    shutil.rmtree(folder)
    assert Study.open(copy).running()["stale"].all()
    continued = run_up_to("extract", Study.open(copy, trust=True))
    assert continued.record.driver() is None
    assert found(continued) == found(finished)


def test_a_copy_of_a_killed_run_continues_without_the_original(finished: Study, tmp_path: Path) -> None:
    process = started(run_and_die, tmp_path / "run", trials=7)
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    copy = tmp_path / "there" / "copy"
    shutil.copytree(tmp_path / "run", copy)
    shutil.rmtree(tmp_path / "run")
    assert len(Study.open(copy).trials()) == 7
    assert found(run_up_to("extract", Study.open(copy))) == found(finished)
    for path in copy.rglob("*"):
        assert not path.is_file() or str(tmp_path / "run").encode() not in path.read_bytes(), path


def test_two_drivers_with_folders_of_their_own_share_a_store(finished: Study, tmp_path: Path) -> None:
    overrides = [f"store=sqlite:///{tmp_path / 'shared.sqlite'}"]
    folders = [tmp_path / name for name in ("a", "b")]
    processes = [started(run_and_die, folder, stage="extract", writes=1, overrides=overrides) for folder in folders]
    for process, folder in zip(processes, folders, strict=True):
        process.join(240)
        assert process.exitcode == -signal.SIGKILL
        assert found(Study.open(folder)) == found(finished)


def test_what_finished_stages_read_may_be_gone(finished: Study, tmp_path: Path) -> None:
    checkpoint = tmp_path / "base.safetensors"
    shutil.copy(finished.folder.path / "base" / "weights.safetensors", checkpoint)
    overrides = [f"base.checkpoint={checkpoint}", "base.epochs=0", "supernet.epochs=0"]
    study = Study.from_yaml(TINY, overrides=overrides, folder=tmp_path / "run")
    run_up_to("supernet", study)
    checkpoint.unlink()
    run_up_to("explore", Study.open(study.folder.path))


def images(path: Path, count: int) -> Path:
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", count), ("val", 8), ("test", 8)):
        arrays[f"{split}_images"] = rng.integers(0, 256, (n, 8, 8), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.arange(n) % 2
    path.parent.mkdir()
    np.savez(path, **arrays)
    return path


def test_images_may_be_elsewhere_but_must_be_the_same(tmp_path: Path) -> None:
    first, other = images(tmp_path / "a" / "some.npz", 20), images(tmp_path / "b" / "some.npz", 22)
    text = TINY.replace("{name: digits, train_images: 300}", f"{{path: {first}}}")
    folder = run_up_to("base", Study.from_yaml(text, overrides=["base.epochs=0"], folder=tmp_path / "run")).folder.path
    moved = first.rename(tmp_path / "some.npz")
    with pytest.raises(RunError, match=r"began with other images \(images .*'train': 20.*, now .*'train': 22"):
        Study.open(folder, overrides=[f"data.path={other}"]).run(quiet=True)
    run_up_to("supernet", Study.open(folder, overrides=[f"data.path={moved}"]))
    assert Record.open(folder).settings["data"]["path"] == str(moved)
    with pytest.raises(RunError, match=r"continues with its own settings; allowed: --set data\.path"):
        Study.open(folder, overrides=["seed=2"])
