from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas import words
from nas.search import Objective
from nas.studies.report import plots
from nas.studies.report.findings import Findings
from nas.studies.report.page import page
from nas.studies.report.summary import summary
from nas.studies.report.trajectories import panels, trajectories
from nas.studies.run.results import EXPLORE, EXTRACT, PREPARE, RETRAIN, EpochResult
from nas.studies.study import Study
from nas.system.terminal import Terminal
from nas.tasks.classification import ACCURACY

HALF = {"heads.0": 1, "heads.1": 2, "depth.0": 1, "depth.1": 0, "embed": 8}
FULL = {"heads.0": 2, "heads.1": 2, "depth.0": 1, "depth.1": 1, "embed": 16}


def test_the_page_stands_alone_and_says_what_was_found(finished: Study) -> None:
    text = (finished.folder.path / "report" / "report.html").read_text()
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#|data:)", text), "nothing is fetched"
    assert "@import" not in text
    assert text.count("<svg") == 5
    best = finished.record.result(RETRAIN).row("winner, retrained")
    for word in (
        best.digest,
        words.percent(best.test["accuracy"]),
        words.amount(best.costs["macs"]),
        words.amount(best.costs["flops"]),
    ):
        assert word in text
    for title in (
        "Results",
        "Pareto front",
        "The chosen architecture",
        "Search",
        "Training",
        "How the winner was checked",
        "Settings",
    ):
        assert f"<h2>{title}</h2>" in text


def test_page_and_terminal_say_how_many_candidates_an_hour(finished: Study, capsys: pytest.CaptureFixture[str]) -> None:
    explored, frame = finished.record.result(EXPLORE), finished.trials()
    measured = frame[(frame["strategy"] == "evolution") & ~frame["cached"]]
    speed = 3600 * len(measured) / measured["seconds"].sum()
    assert explored.candidates_per_hour["evolution"] == pytest.approx(speed)
    said = f"candidates per hour of measuring: evolution {words.amount(speed)}, uniform "
    assert said in (finished.folder.path / "report" / "report.html").read_text()
    summary(Terminal(), Findings(finished.record))
    lines = [line for line in capsys.readouterr().out.splitlines() if said in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"search: {explored.trials} trials, {explored.measured} measured; ")


def test_the_same_run_gives_the_same_page(finished: Study) -> None:
    assert page(Findings(finished.record)) == page(Findings(finished.record))


def test_the_results_files_hold_the_rows_with_commit_and_seed(finished: Study) -> None:
    folder = finished.folder.path / "report"
    rows = json.loads((folder / "results.json").read_text())
    assert [row["model"] for row in rows] == ["base", "uniform", "uniform, retrained", "winner", "winner, retrained"]
    assert all(row["seed"] == 4 and row["commit"] and row["flops"] == 2 * row["macs"] for row in rows)
    with (folder / "results.csv").open() as file:
        assert [row["model"] for row in csv.DictReader(file)] == [row["model"] for row in rows]


def test_the_winner_is_within_its_limit_and_equal_to_the_supernet(finished: Study) -> None:
    base, rows = finished.record.result(PREPARE).base, finished.record.result(RETRAIN).rows
    assert all(row.costs["macs"] <= 0.7 * base["macs"] for row in rows[1:])
    roles = finished.record.result(EXTRACT).roles
    assert list(roles) == ["winner", "uniform"]
    for model in roles.values():
        assert model.slices_only
        assert model.difference == 0.0
        assert model.images > 0


def test_the_extracted_winner_scores_what_the_search_measured(finished: Study) -> None:
    extracted, explored = finished.record.result(EXTRACT).winner, finished.record.result(EXPLORE).winner
    assert extracted.validation == pytest.approx(explored.metrics)


RATE = ("retrain.lr=1e-3", "retrain.lr_base_size=64", "retrain.batch=128")


def test_a_strategy_that_is_the_baseline_runs_once(tmp_path: Path) -> None:
    from studies_fakes import TINY

    study = Study.from_yaml(TINY, overrides=["strategy=uniform", "strategy.trials=5", *RATE], folder=tmp_path / "run")
    record = study.run(quiet=True)
    assert len(study.trials()) == 5
    assert [row.model for row in record.result(RETRAIN).rows] == ["base", "winner", "winner, retrained"]
    assert "<h2>Results</h2>" in (tmp_path / "run" / "report" / "report.html").read_text()
    rate = "Learning rate of retrain: 0.002 for 128 images a step (lr 0.001 per 64 images)."
    assert rate in (study.folder.path / "report" / "report.html").read_text(), "a scaled rate is said"


@pytest.mark.parametrize("loss", ["distilled", "plain"])
def test_other_losses_retrain_too(finished: Study, tmp_path: Path, loss: str) -> None:
    from studies_fakes import TINY

    overrides = ["strategy=uniform", "strategy.trials=2", f"retrain.loss={loss}", "base.epochs=0", "supernet.epochs=0"]
    record = Study.from_yaml(TINY, overrides=overrides, folder=tmp_path / "run").run(quiet=True)
    training = record.result(RETRAIN).trainings["winner"]
    assert [epoch.epoch for epoch in training.history] == [1, 2]
    before, after = (
        json.loads((tmp_path / "run" / s / "winner" / "model.json").read_text()) for s in ("extract", "retrain")
    )
    assert before["sizes"] == after["sizes"]
    assert before["sha256"] != after["sha256"]


def bars(kept: dict[str, int], full: dict[str, int]) -> tuple[list[float], list[str]]:
    """Heights of the drawn bars below 1, and all labels."""
    axes = plots.architecture(kept, full).axes
    heights = [round(patch.get_height(), 3) for axis in axes for patch in axis.patches]  # type: ignore[attr-defined]
    return heights, [text.get_text() for axis in axes for text in axis.texts]


def test_the_architecture_is_drawn_with_its_shares() -> None:
    heights, labels = bars(HALF, FULL)
    assert heights[:2] == [1, 0.5]
    assert labels == ["1/2", "skipped", "8/16"]


def test_only_depth_can_be_drawn() -> None:
    assert bars({"depth.0": 1, "depth.1": 0}, {"depth.0": 1, "depth.1": 1})[1] == ["1/1", "skipped"]


def test_plots_are_the_same_text_each_time_and_well_formed(finished: Study) -> None:
    trials, objective = finished.trials(), Objective("accuracy", maximise=True)
    drawn = [plots.svg(plots.progress(trials, objective, ACCURACY, "evolution")) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert ET.fromstring(drawn[0]).tag.endswith("svg")


def test_progress_never_gets_worse(finished: Study) -> None:
    figure = plots.progress(finished.trials(), Objective("accuracy", maximise=True), ACCURACY, "evolution")
    lines = figure.axes[0].get_lines()
    assert len(lines) == 2
    for line in lines:
        assert (np.diff(np.asarray(line.get_ydata(), dtype=float)) >= 0).all()


def epoch(number: int, **shares: float) -> EpochResult:
    """One epoch of a strategy's training."""
    return EpochResult(epoch=number, loss=1.0, lr=0.1, seconds=1.0, metrics=shares)


EPOCHS = [
    epoch(number, **{"mlp.10": 0.9, "mlp.2": 1 / number, "head_dim.2.1": 0.5, "macs": 0.8, "alpha.x": 1.2})
    for number in (1, 2)
]


def test_trajectories_have_a_panel_per_dimension_and_one_for_the_whole_model() -> None:
    drawn = panels(EPOCHS)
    assert list(drawn) == ["mlp", "head_dim", ""]
    assert drawn["mlp"] == {"10": [(1, 0.9), (2, 0.9)], "2": [(1, 1.0), (2, 0.5)]}
    assert list(drawn["head_dim"]) == ["2.1"]
    assert list(drawn[""]) == ["macs", "alpha.x"]


def test_trajectories_are_drawn_block_by_block_and_nothing_is_cut_off() -> None:
    figure = trajectories(EPOCHS)
    mlp, head_dim, whole = (axis for axis in figure.axes if axis.get_title(loc="left"))
    assert [axis.get_title(loc="left") for axis in (mlp, head_dim, whole)] == ["mlp", "head dim", "whole model"]
    assert [list(np.asarray(line.get_ydata())) for line in mlp.get_lines()] == [[1.0, 0.5], [0.9, 0.9]]
    assert len({str(line.get_color()) for line in mlp.get_lines()}) == 2
    assert whole.get_ylim()[1] > 1.2
    assert ET.fromstring(plots.svg(figure)).tag.endswith("svg")


@pytest.mark.parametrize("epochs", [EPOCHS[:1], [epoch(1, macs=0.5)]])
def test_short_trajectories_are_drawn(epochs: list[EpochResult]) -> None:
    assert plots.svg(trajectories(epochs)).startswith("<svg")


@pytest.mark.parametrize(
    ("value", "text"),
    [(1_641_000, "1.64 M"), (1.2537e9, "1.25 G"), (12_345, "12.3 k"), (999, "999"), (0, "0"), (123_456_789, "123 M")],
)
def test_amounts(value: float, text: str) -> None:
    assert words.amount(value) == text


def test_numbers_in_words() -> None:
    assert words.architectures("69632") == "69,632"
    assert words.architectures(str(34 * 10**300)) == "3.4e+301"
    assert (words.share(0.136), words.share(1.3e-6), words.share(0)) == ("13.6 %", "1.3e-06", "0")
    assert (words.seconds(9.96), words.seconds(245.3), words.seconds(7860)) == ("10.0 s", "4 min 05 s", "2 h 11 min")
    assert (words.points(-0.0028), words.points(0.01)) == ("-0.28", "+1.00")


def test_what_turns_the_writing_and_passwords_do_not_reach_the_page(finished: Study) -> None:
    settings = {**finished.record.settings, "store": "postgresql://me:s3cret@host/x", "notes": ["a\u202eb", "<b>"]}
    text = page(Findings(replace(finished.record, settings=settings)))
    assert "postgresql://me:***@host/x" in text
    assert "a\\u202eb, &lt;b&gt;" in text
    assert "s3cret" not in text
