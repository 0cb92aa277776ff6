from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import StoreError
from nas.studies.run.export_optuna import export
from nas.studies.study import Study

optuna = pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'nas[optuna]'")


def test_an_export_holds_the_trials_as_optuna_knows_them(finished: Study, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    found = export(finished.record, url)
    assert list(found.values()) == [12, 12]
    name = next(iter(found))
    assert name == f"{finished.record.label}-evolution"
    study = optuna.load_study(study_name=name, storage=url)
    mine = finished.record.stored("evolution")
    assert [t.params for t in study.trials] == [dict(t.architecture) for t in mine]
    assert [t.value for t in study.trials] == [t.metrics["accuracy"] for t in mine]
    assert all(t.constraints["most macs"] <= 0 for t in study.trials)
    assert [t.user_attrs["flops"] for t in study.trials] == [2 * t.costs["macs"] for t in mine]
    assert [t.user_attrs["digest"] for t in study.trials] == [t.architecture.digest for t in mine]
    assert study.best_value == max(t.metrics["accuracy"] for t in mine)


def test_exporting_again_adds_nothing(finished: Study, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    assert export(finished.record, url) == export(finished.record, url)


@pytest.mark.parametrize("url", ["nosuchdb://x", "sqlite:////nosuch/folder/x.db"])
def test_a_storage_that_cannot_be_written_is_an_error_of_a_line(finished: Study, url: str) -> None:
    with pytest.raises(StoreError, match=r"storage '.*; allowed: a database that answers"):
        export(finished.record, url)
