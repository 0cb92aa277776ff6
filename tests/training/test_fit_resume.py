"""Checkpoints: a run that is killed ends with the same bits; a damaged or foreign checkpoint is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from training_fakes import make_data, make_net, noting, same_weights

from nas.errors import CheckpointError
from nas.training import FitCall, History, PlainStep, Recipe, Runtime, fit

RECIPE = Recipe(epochs=4, lr=1e-2, batch=8, warmup=1, mixup=0.4, ema=0.8, augment="crop")


def run(path: Path | None, recipe: Recipe = RECIPE, seed: int = 0, **runtime: Any) -> tuple[nn.Module, History]:
    net = make_net()
    call = FitCall(net, PlainStep(), make_data(), recipe, seed)
    return net, fit(call, Runtime(checkpoint=path, progress=False, **runtime))


def interrupted(path: Path, after: int, recipe: Recipe = RECIPE) -> None:
    """A run that Ctrl-C ends after some epochs."""

    def stop(row: Any) -> None:
        if row.epoch == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(path, recipe, on_epoch=stop)


KILLED = """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, {here!r})
    from test_fit_resume import run

    def slow(row):
        print(row.epoch, flush=True)
        time.sleep(0.2)

    run(Path({path!r}), on_epoch=slow)
"""


def test_killed_for_real_and_resumed_ends_with_the_same_bits(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    script = textwrap.dedent(KILLED).format(here=str(Path(__file__).parent), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert [process.stdout.readline().strip() for _ in range(2)] == ["1", "2"]
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    resumed, history = run(path)
    undisturbed, whole = run(None)
    assert same_weights(resumed, undisturbed)
    assert [(row.epoch, row.loss, row.lr) for row in history] == [(row.epoch, row.loss, row.lr) for row in whole]


def test_pictures_that_timm_varies_are_the_same_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    recipe = replace(RECIPE, augment={"use": "deit", "interpolation": "random", "mixup_mode": "elem"})
    interrupted(path, 2, recipe)
    assert same_weights(run(path, recipe)[0], run(None, recipe)[0])


def test_interrupted_before_the_first_checkpoint_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "run.safetensors"

    def stop(_: nn.Module) -> dict[str, float]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(path, evaluate=stop)
    assert not path.exists()
    assert same_weights(run(path)[0], run(None)[0])


def test_a_finished_run_is_loaded_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    first, history = run(path)
    written = path.stat().st_mtime_ns
    time.sleep(0.01)
    second, again = run(path)
    assert same_weights(first, second)
    assert again == history
    assert path.stat().st_mtime_ns == written


def test_only_one_file_remains_and_it_is_plain_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    run(path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]
    with safe_open(path, "pt") as file:
        names = set(file.keys())
    assert {"module.head.weight", "average.head.weight", "optimiser.0.exp_avg", "module.norm.running_mean"} <= names


@pytest.mark.parametrize("damage", ["truncated", "foreign", "empty"])
def test_a_damaged_checkpoint_says_what_to_delete(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "run.safetensors"
    interrupted(path, 2)
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[: len(whole) // 2], "foreign": b"PK" * 100, "empty": b""}[damage])
    with pytest.raises(CheckpointError, match=r"run\.safetensors: damaged.*delete it") as caught:
        run(path)
    assert "\n" not in str(caught.value)
    path.unlink()
    assert same_weights(run(path)[0], run(None)[0])


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    interrupted(path, 1)
    with pytest.raises(CheckpointError, match=r"other settings \(lr 0.01, now 0.02\)"):
        run(path, replace(RECIPE, lr=0.02))
    with pytest.raises(CheckpointError, match=r"other settings \(seed 0, now 1\)"):
        run(path, seed=1)


def test_a_checkpoint_of_another_model_or_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    interrupted(path, 1)
    net = make_net()
    net.head = nn.Linear(8, 4)
    with pytest.raises(CheckpointError, match="damaged, or of another model"):
        fit(FitCall(net, PlainStep(), make_data(), RECIPE, 0), Runtime(checkpoint=path, progress=False))
    save_file(dict(make_net().state_dict()), path)
    with pytest.raises(CheckpointError, match="not a training checkpoint of this version"):
        run(path)


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.safetensors"
    interrupted(path, 2)
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CheckpointError, match=r"checkpoint of epoch 3 .*No space left.*make room and run again"):
            run(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]
    assert same_weights(run(path)[0], run(None)[0])


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write"):
        run(tmp_path / "file" / "run.safetensors")


def test_the_file_is_flushed_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    flush, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: noting(events, "flush", flush(handle)))
    monkeypatch.setattr(Path, "replace", lambda self, to: noting(events, "rename", rename(self, to)))
    run(tmp_path / "run.safetensors", replace(RECIPE, epochs=1))
    assert events == ["flush", "rename", "flush"]
