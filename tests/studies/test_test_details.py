"""Details of the test split: in rows, files, terminal and page; absent from runs that did not measure them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from nas import cli
from nas.studies.report.confusion_plot import confusion
from nas.studies.report.findings import Findings
from nas.studies.run.measured import ConfusionFacts
from nas.studies.run.record import Record
from nas.studies.run.results import EXPLORE, RETRAIN
from nas.studies.run.typed_json import parsed
from nas.studies.study import Study

OLD = Path(__file__).parent / "run_of_fa6cf74"
FINER = {"top5", "class_accuracy", "calibration_error"}


def test_every_model_is_tested_in_detail(finished: Study) -> None:
    result = finished.record.result(RETRAIN)
    for row in result.rows:
        assert row.test.keys() == {"accuracy", "loss", *FINER}
        assert set(row.validation) == {"accuracy"}
        assert result.confusion is not None
        matrix = np.array(result.confusion.models[row.model])
        assert matrix.sum() == row.test_images
        assert matrix.trace() / row.test_images == pytest.approx(row.test["accuracy"])


def test_searches_measure_what_they_did(finished: Study) -> None:
    assert set(finished.record.result(EXPLORE).winner.metrics) == {"accuracy", "loss"}
    assert not FINER & set(finished.trials().columns)


def test_tables_page_and_files_show_them(finished: Study, capsys: pytest.CaptureFixture[str]) -> None:
    folder = finished.folder.path
    assert cli.main(["report", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("test split in detail", "top-5", "per class", "calib. error"))
    page = (folder / "report" / "report.html").read_text()
    assert all(
        word in page for word in ("Test split in detail", "<th>top-5 accuracy</th>", "Test images of each class")
    )
    assert {f"test_{name}" for name in FINER} <= set(pd.read_csv(folder / "report" / "results.csv").columns)
    assert {f"test_{name}" for name in FINER} <= set(json.loads((folder / "report" / "results.json").read_text())[0])


def test_a_run_that_did_not_measure_them_has_no_such_section() -> None:
    findings = Findings(Record.open(OLD))
    assert not findings.detailed
    assert findings.confusion is None


def test_a_matrix_must_be_square() -> None:
    with pytest.raises(ValidationError, match="a row and a column for each class"):
        parsed(ConfusionFacts, json.dumps({"classes": ["cat", "dog"], "models": {"base": [[1, 2], [3]]}}))


def test_numbers_stand_in_the_cells_of_few_classes() -> None:
    few = confusion(["cat", "dog"], {"base": [[3, 0], [1, 2]], "winner": [[4, 0], [0, 2]]})
    assert [len(axis.texts) for axis in few.axes] == [3, 2]
    many = confusion([str(k) for k in range(13)], {"base": np.eye(13, dtype=int).tolist()})
    assert not many.axes[0].texts
