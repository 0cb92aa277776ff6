"""`make gpu` where there is no GPU: its parts on tiny models. What they measure is no matter here."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.gpu import exactness
from benchmarks.gpu.__main__ import PARTS, main

QUICK = [part for part in PARTS if part != "latency"]
"""All but the one that refuses a busy machine."""


@pytest.fixture(autouse=True)
def _no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("optuna", "ray", "nni"):
        monkeypatch.setitem(sys.modules, name, None)  # to import it is an error


def test_every_part_keeps_its_rows_without_optuna_ray_and_nni(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nas.studies.stages.report.write_report", lambda *_: None)  # plots, which take a second
    path = tmp_path / "new" / "rows.csv"
    assert main(["--small", "--to", str(path), *QUICK]) == 0, capsys.readouterr().out
    table = pd.read_csv(path)
    assert set(table["part"]) == {"exactness", "steps", "energy", "study", "loading", "switches", "tensorrt"}
    assert table["holds"].dropna().astype(bool).sum() == 10
    assert table[["device", "torch", "commit"]].notna().all(axis=None)
    assert table["small"].all()


@pytest.mark.long
def test_latency_is_measured_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.latency.passes.MOST_NOISE", 9.0)
    monkeypatch.setattr("nas.latency.passes.MOST_DRIFT", 9.0)
    path = tmp_path / "rows.csv"
    assert main(["--small", "--to", str(path), "latency"]) == 0
    assert pd.read_csv(path)["what"].str.contains("mean of predicted less timed").sum() == 4


def test_what_does_not_hold_or_breaks_is_told_and_the_other_parts_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.csv"
    monkeypatch.setattr(exactness, "masks", lambda *_: {})
    monkeypatch.setattr("benchmarks.gpu.steps.halved", lambda _: 1 / 0)
    assert main(["--small", "--to", str(path), "steps", "exactness"]) == 1
    said = capsys.readouterr().out
    assert "not as it should be: exactness: tiny ViT: masked against sliced" in said
    assert "not as it should be: steps: ZeroDivisionError" in said
    table = pd.read_csv(path)
    assert list(table["what"][table["holds"] == False]) == [  # noqa: E712
        "tiny ViT: masked against sliced",
        "tiny Swin: masked against sliced",
    ]
    assert "forward, tiny ViT, bfloat16, batch 8" in set(table["what"])


def test_after_its_time_nothing_new_begins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.csv"
    assert main(["--small", "--to", str(path), "--seconds", "0", "exactness"]) == 1
    assert "exactness: left out, 0 s were over" in capsys.readouterr().out
    assert len(pd.read_csv(path)) == 0
