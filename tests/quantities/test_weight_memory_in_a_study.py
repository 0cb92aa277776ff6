"""A quantity of a user's package, one file, from a study to its report: limit, objective, column, axis, line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from studies_fakes import TINY
from weight_memory import WeightMemory

from nas import cli
from nas.studies.report.findings import Findings
from nas.studies.report.page import _front
from nas.studies.run.results import EXPLORE, EXTRACT, PREPARE, RETRAIN
from nas.studies.study import Study

NAME, TITLE = "weight_memory", "memory of the weights"
MOST = 9_000
"""Bytes; the whole model has about 14 kB."""
CHANGES = [
    f"limit={{{NAME}: 9 kB}}",
    f"objectives={{accuracy: max, {NAME}: min}}",
    "strategy.trials=6",
    "base.epochs=1",
    "supernet.epochs=1",
    "retrain.epochs=1",
]


@pytest.fixture(scope="module")
def study(module_plug_in: Callable[[str, str, type], None], tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished run that bounds the toy quantity, and wants little of it."""
    module_plug_in("nas.quantities", NAME, WeightMemory)
    study = Study.from_yaml(TINY, overrides=CHANGES, folder=tmp_path_factory.mktemp("runs") / "tiny")
    study.run(quiet=True)
    return study


def test_it_is_a_limit_that_every_trial_keeps(study: Study) -> None:
    prepared, trials = study.record.result(PREPARE), study.trials()
    assert prepared.limit.bounds == {NAME: (None, MOST)}
    assert f"{NAME} <= 9 kB" in prepared.limit.text
    assert prepared.base[NAME] > MOST
    assert (trials[NAME] <= MOST).all()
    assert trials["feasible"].all()


def test_it_is_an_objective_of_the_front(study: Study) -> None:
    front = study.pareto()
    assert front[NAME].is_monotonic_increasing
    assert front["accuracy"].is_monotonic_increasing
    assert 0 < study.record.hypervolume() < 1


def test_it_is_a_column_of_trials_front_and_results(study: Study, tmp_path: Path) -> None:
    costs = ["macs", "flops", "params", NAME]
    results = pd.read_csv(study.folder.path / "report" / "results.csv")
    for frame in (study.trials(), study.pareto(), results):
        assert [column for column in frame.columns if column in costs] == costs
    assert study.trials()[NAME].dtype == np.int64
    rows = study.record.result(RETRAIN).rows
    assert [row.costs[NAME] for row in rows] == results[NAME].tolist()
    assert study.record.result(EXTRACT).winner.costs[NAME] == study.record.result(EXPLORE).winner.costs[NAME]


def test_it_is_the_axis_of_the_fronts_plot_with_its_limit(study: Study) -> None:
    findings = Findings(study.record)
    (axis,) = _front(findings).axes
    assert axis.get_xlabel() == f"{TITLE} (B)"
    assert [text.get_text() for text in axis.texts] == ["limit 9,000 B"]
    (front,) = (line for line in axis.lines if line.get_label() == "Pareto front")
    assert np.asarray(front.get_xdata(), float).tolist() == study.pareto()[NAME].tolist()


def test_it_is_a_line_of_the_report_and_a_column_of_its_table(study: Study) -> None:
    page = (study.folder.path / "report" / "report.html").read_text()
    winner = study.record.result(RETRAIN).row("winner, retrained")
    assert f"<th>{TITLE}</th>" in page
    assert f"<td>{WeightMemory().show(winner.costs[NAME])}<small>" in page
    assert f" kB {TITLE}</dd>" in page
    assert f"% of the {TITLE}, " in Findings(study.record).headline


def test_the_command_line_shows_it(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(study.folder.path)
    for command in (["pareto", folder], ["pareto", folder, "--trials"], ["report", folder], ["compare", folder]):
        assert cli.main(command) == 0
        assert TITLE in capsys.readouterr().out
    assert cli.main(["show", folder]) == 0
    shown = capsys.readouterr().out
    assert f" kB {TITLE}" in shown
    assert f"limit          {NAME} <= 9 kB" in shown
