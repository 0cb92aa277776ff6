"""What a study will take: paces times amounts, and bytes that are counted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from studies_fakes import TINY
from torch import nn

from nas import Study
from nas.cli import main
from nas.studies.forecast import forecast as forecasts
from nas.studies.forecast import pace
from nas.studies.forecast.forecast import MemoryForecast, epochs_in
from nas.studies.forecast.memory import footprint
from nas.studies.forecast.pictures import FewPictures

LONGER = ["base.epochs=10", "retrain.epochs=4", "finalists=4", "retrain.loss=plain"]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """300 digits, of which 45 are for the search: 255, 45 and 360 pictures; a step takes 1 s for each, a look 0.1 s."""
    monkeypatch.setattr(pace, "training", lambda *_: 1.0)
    monkeypatch.setattr(pace, "measuring", lambda *_: 0.1)
    return Study.from_yaml(TINY, overrides=LONGER, folder=tmp_path / "run")


def test_seconds_are_paces_times_amounts(study: Study, tmp_path: Path) -> None:
    few = FewPictures.of(study.resolved)
    train, validation, test = (len(split) for split in few.splits)
    found = {stage.stage: stage.seconds for stage in study.forecast().stages}
    look = 0.1 * validation
    assert found["base"] == pytest.approx(10 * train + 11 * look)
    assert found["supernet"] == pytest.approx(2 * train + 3 * 2 * look)
    assert found["explore"] == pytest.approx((12 + 12) * look)
    assert found["finalists"] == pytest.approx((4 * 1 + 2 * 2) * (train + look))
    own = 2 * (4 * train + 5 * look) + 0.1 * (test + validation) * 5 + 2 * 0.01
    assert found["retrain"] == pytest.approx(own)
    assert list(tmp_path.iterdir()) == []


def test_the_command_shows_it_and_writes_nothing(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    assert main(["run", "tiny.yaml", "--dry"]) == 0
    shown = capsys.readouterr().out
    for words in ("2 epochs of 255 pictures", "12 trials and 12 uniform ones", "none: the best trial wins", "together",
                  "nothing was written", "runs/tiny"):  # fmt: skip
        assert words in shown
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]
    assert main(["run", "tiny.yaml", "--dry", "--set", "limit.macs=1%"]) == 2


def test_steps_are_timed(tmp_path: Path) -> None:
    """A step of a real training takes time, also where a strategy trains; a rate of a study does not matter."""
    resolved = Study.from_yaml(TINY, overrides=["base.lr=1000"], folder=tmp_path / "run").resolved
    clock = forecasts._Clock(resolved, FewPictures.of(resolved))
    assert 0 < clock.searched < 1
    assert 0 < clock.plain < 1
    assert clock.footprint.learning > clock.footprint.measured > 0


def test_bytes_are_counted() -> None:
    """Kept for gradients: the first layer's input (16 bytes of an image), and the ReLU's output, once for both that
    want it (32 bytes).
    """
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    images = torch.zeros(2, 4)
    found = footprint(model, images, images)
    assert (found.parameters, found.learning, found.measured) == (16 * 58, 48, 16 + 3 * 32)
    assert found.training(10, passes=2) == 16 * 58 + 960
    assert found.measuring(10) == 4 * 58 + 1120


def test_the_memory_of_a_gpu_holds_no_process() -> None:
    of = {"pictures": 5, "training": 30, "measuring": 20}
    assert MemoryForecast(**of, device="cuda").total == 30
    assert MemoryForecast(**of, device="cpu").total == 30 + 5 + forecasts.PROCESS


def test_epochs_of_what_is_plugged_in_count() -> None:
    assert epochs_in({"use": "threshold", "importance": [{"training": {"epochs": 3}}, {"epochs": 4, "lr": 1}]}) == 7
    assert epochs_in({"use": "evolution", "trials": 10}) == 0
