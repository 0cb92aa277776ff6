"""A task of a user's package, one file, from the base model to the report: its own metric stands in every table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from digit_value import DigitValue
from studies_fakes import TINY

import nas
from nas import cli
from nas.studies.report.findings import Findings
from nas.studies.run.results import BASE, EXPLORE, EXTRACT, RETRAIN, SUPERNET
from nas.studies.study import Study

CHANGES = ["task=digit_value", "base.epochs=3", "supernet.epochs=2", "retrain.loss=adjoined"]
STRATEGIES = {
    "uniform": ["strategy.trials=6"],
    "evolution": ["strategy.trials=6", "baseline=4"],
    "dan": ["baseline=4", "strategy.training={epochs: 1}"],
    "threshold": ["baseline=4"],
}


@pytest.fixture(scope="module")
def studies(
    module_plug_in: Callable[[str, str, type], None], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Study]:
    """A finished run per strategy."""
    module_plug_in("nas.tasks", "digit_value", DigitValue)
    finished = {}
    for strategy, changes in STRATEGIES.items():
        options = {"evolution": "{use: evolution, population: 2, sample: 1}"}.get(strategy, f"{{use: {strategy}}}")
        overrides = [f"strategy={options}", f"name={strategy}", *CHANGES, *changes]
        study = Study.from_yaml(TINY, overrides=overrides, folder=tmp_path_factory.mktemp("runs") / strategy)
        study.run(quiet=True)
        finished[strategy] = study
    return finished


@pytest.fixture(params=STRATEGIES)
def study(studies: dict[str, Study], request: pytest.FixtureRequest) -> Study:
    """Each of them."""
    return studies[request.param]


def test_every_stage_measures_by_it(study: Study) -> None:
    record = study.record
    assert isinstance(record.task, DigitValue)
    assert [(objective.metric, objective.maximise) for objective in record.objectives] == [("deviation", False)]
    assert set(record.result(BASE).validation) == {"deviation", "loss"}
    assert set(record.result(SUPERNET).validation) == {"deviation", "smallest"}
    for winner in record.result(EXPLORE).roles.values():
        assert set(winner.metrics) == {"deviation", "loss"}
    for model in record.result(EXTRACT).roles.values():
        assert model.difference == 0.0
    for row in record.result(RETRAIN).rows:
        assert "deviation" in row.test


def test_the_winner_has_the_least_deviation(study: Study) -> None:
    trials = study.trials()
    own = trials[trials["strategy"] == study.record.strategy]
    winner = study.record.result(EXPLORE).winner
    assert winner.metrics["deviation"] == own["deviation"].min()
    front = study.pareto()
    assert front["deviation"].is_monotonic_decreasing
    assert 0 < study.record.hypervolume() < 1


def test_every_table_has_its_metric_and_none_speaks_of_classes(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = study.folder.path
    for command in ("report", "pareto", "compare"):
        assert cli.main([command, str(folder)]) == 0
        shown = capsys.readouterr().out
        assert "mean deviation" in shown
        assert "acc" not in shown
    page = (folder / "report" / "report.html").read_text()
    assert "<th>test mean deviation</th>" in page
    assert "between their outputs" in page
    for word in ("accuracy", "logits", "percentage points"):
        assert word not in page.partition("<h2>Settings</h2>")[0]
    assert "test_deviation" in pd.read_csv(folder / "report" / "results.csv").columns
    assert Findings(study.record).headline.endswith("of test mean deviation")


def test_tau_ranks_by_it(studies: dict[str, Study], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = studies["evolution"].folder.path
    files = ["--csv", str(tmp_path / "tau.csv"), "--plot", str(tmp_path / "tau.svg")]
    assert cli.main(["tau", str(folder), "--architectures", "4", "--epochs", "1", *files]) == 0
    shown = capsys.readouterr().out
    assert "retrained mean deviation" in shown
    assert "acc" not in shown
    table = pd.read_csv(tmp_path / "tau.csv")
    assert {"shared_deviation", "retrained_deviation"} <= set(table.columns)
    assert table["shared_deviation"].is_monotonic_increasing, "the best comes first"
    assert (tmp_path / "tau.svg").read_text().startswith("<svg")


def test_a_retrained_winner_is_loaded_and_gives_one_number(studies: dict[str, Study]) -> None:
    import torch

    model = nas.load(studies["dan"].folder.path / "retrain" / "winner")
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 1)
