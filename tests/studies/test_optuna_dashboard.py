"""What optuna-dashboard makes of an export: its own JSON API is asked, as its page does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from nas.strategies.with_optuna.storage import opened
from nas.studies.run.export_optuna import export
from nas.studies.study import Study

dashboard = pytest.importorskip("optuna_dashboard", reason="the package optuna-dashboard is not installed")


def api(storage: Any, path: str) -> Any:
    """What the dashboard's server answers."""
    environment: dict[str, Any] = {"PATH_INFO": path}
    setup_testing_defaults(environment)
    status: list[str] = []
    body = dashboard.wsgi(storage)(environment, lambda line, *_: status.append(line))
    assert status == ["200 OK"]
    return json.loads(b"".join(body))


@pytest.mark.parametrize("url", ["sqlite:///{}/optuna.db", "{}/optuna.journal"])
@pytest.mark.filterwarnings("ignore")
def test_the_dashboard_shows_names_values_objectives_and_constraints(finished: Study, tmp_path: Path, url: str) -> None:
    url = url.format(tmp_path)
    export(finished.record, url)
    storage = opened(url)
    studies = api(storage, "/api/studies")["study_summaries"]
    assert [s["study_name"] for s in studies] == [
        f"{finished.record.label}-{name}" for name in ("evolution", "uniform")
    ]
    shown = api(storage, f"/api/studies/{studies[0]['study_id']}")
    mine = finished.record.stored("evolution")
    assert shown["directions"] == ["maximize"]
    assert shown["objective_names"] == ["accuracy"]
    assert "Parameters are the values" in shown["note"]["body"]
    assert [t["state"] for t in shown["trials"]] == ["Complete"] * len(mine)
    for told, trial in zip(shown["trials"], mine, strict=True):
        values = {p["name"]: p["param_external_value"] for p in told["params"]}
        assert values == {name: str(value) for name, value in trial.architecture.items()}
        assert told["values"] == [trial.metrics["accuracy"]]
        assert len(told["constraints"]) == 1
        assert told["constraints"][0] <= 0
        assert {"macs", "flops", "digest", "strategy", "nas_number"} <= {a["key"] for a in told["user_attrs"]}
    best = max(trial.metrics["accuracy"] for trial in mine)
    assert {t["values"][0] for t in shown["best_trials"]} == {best}
    assert {c["name"] for c in shown["union_search_space"]} == set(mine[0].architecture)
