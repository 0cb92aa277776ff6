"""Bits in whole studies: found under a bound on bit operations, extracted, retrained, exported; by DAN, too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from studies_fakes import TINY

import nas.cli
from nas import Study, load
from nas.studies.run.results import EXPLORE
from nas.supernets.models.int8 import RoundedLinear

BITS = TINY.replace("  choices:\n", "  choices:\n    bits: {bits: [8, 32], per: block}\n").replace(
    "limit: {macs: 70%}", "limit: {bit_operations: 30%}\nobjectives: {accuracy: max, size: min}"
)


def study_of(folder: Path, *overrides: str) -> Study:
    (folder / "bits.yaml").write_text(BITS)
    return Study.from_yaml(folder / "bits.yaml", overrides=overrides, folder=folder / "run")


def test_evolution_finds_bits_within_the_bound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = study_of(tmp_path)
    study.run(quiet=True)
    trials = study.trials()
    assert trials["feasible"].all()
    assert (trials["bit_operations"] < trials["macs"] * 1024).all(), "none of them fits in 32 bits"
    assert {"size", "bit_operations"} <= set(study.pareto().columns)
    assert "bit operations" in (tmp_path / "run" / "report" / "report.html").read_text()
    for stage in ("extract", "retrain"):
        winner = load(tmp_path / "run" / stage / "winner")
        assert any(isinstance(layer, RoundedLinear) for layer in winner.modules())
        with torch.no_grad():
            assert winner(torch.zeros(2, 1, 8, 8)).isfinite().all()

    assert nas.cli.main(["export", str(tmp_path / "run"), "--torch-export", str(tmp_path / "winner.pt2")]) == 0
    assert "on random and real images" in capsys.readouterr().out
    assert nas.cli.main(["export", str(tmp_path / "run"), "--timm", str(tmp_path / "timm")]) == 2
    assert "timm's arguments cannot express this model" in capsys.readouterr().err


def test_dan_learns_preferences_over_bits(tmp_path: Path) -> None:
    study = study_of(tmp_path, "strategy={use: dan, training: {epochs: 2, batch: 16, warmup: 0}}", "baseline=1")
    study.run(quiet=True)
    learned = study.trials().iloc[-1]
    assert learned["feasible"]
    assert 64 * learned["macs"] < learned["bit_operations"] < 1024 * learned["macs"], (
        "some matrices have 8 bits, others 32"
    )
    (*_, last) = study.record.result(EXPLORE).relaxation
    assert 0 < last.metrics["bit_operations"] < 1, "its penalty counts what the study limits"
