"""A limit and an objective of latency, from a study's file to its report; the run keeps its table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from latency_tables import by_units
from studies_fakes import TINY

from nas import cli
from nas.errors import ConfigError, RunError
from nas.latency.remembered import recall, remember
from nas.studies.file.searched import space_of
from nas.studies.report.findings import Findings
from nas.studies.report.page import _front
from nas.studies.run.results import EXPLORE, PREPARE, RETRAIN
from nas.studies.study import Study

TABLES = "latency={table: TABLE, tables: {phone: TABLE}, batches: [1], seconds: 0.1}"
BRIEF = ["base.epochs=1", "supernet.epochs=1", "retrain.epochs=0", "strategy.trials=6"]
CHANGES = [*BRIEF, "limit={latency: 70%}", "objectives={accuracy: max, latency: min}"]
SEVERAL = [
    *BRIEF,
    "limit={latency: 70%, throughput.phone: '120%', memory: 90%}",
    "objectives={accuracy: max, latency: min}",
    "memory={batch: 4}",
]


def written(folder: Path, unit: int = 1000) -> Path:
    """A table of the tiny study."""
    study = folder / "tiny.yaml"
    study.write_text(TINY)
    by_units(space_of(study), unit).write(folder / "table.json")
    return folder / "table.json"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished run, whose table is gone."""
    folder = tmp_path_factory.mktemp("latency")
    table = written(folder)
    changes = [*SEVERAL, TABLES.replace("TABLE", str(table))]
    study = Study.from_yaml(TINY, overrides=changes, folder=folder / "run")
    study.run(quiet=True)
    table.unlink()
    return study


def test_every_trial_keeps_to_it_and_says_it(study: Study) -> None:
    prepared, trials = study.record.result(PREPARE), study.trials()
    most = 0.7 * prepared.base["latency"]
    assert prepared.limit.bounds["latency"] == (None, pytest.approx(most))
    assert (trials["latency"] <= most).all()
    front = study.pareto()
    assert front["latency"].is_monotonic_increasing
    assert 0 < study.record.hypervolume() < 1


def test_several_devices_and_memory_stand_beside_it(study: Study) -> None:
    """One by name, as what it is and as a rate of it; of the rate, a number is the least."""
    prepared, trials = study.record.result(PREPARE), study.trials()
    base = prepared.base
    assert list(prepared.tables) == ["latency", "latency.phone"]
    low, high = prepared.limit.bounds["latency.phone"]
    assert (low, high) == (0, pytest.approx(base["latency.phone"] / 1.2, rel=1e-3))
    assert (trials["latency.phone"] == trials["latency"]).all()
    batch = 2
    assert (trials["throughput.phone"] == (batch * 3600e9 / trials["latency.phone"]).astype("int64")).all()
    assert (trials["throughput.phone"] >= base["throughput.phone"]).all()
    assert (trials["memory"] <= 0.9 * base["memory"]).all()
    page = (study.folder.path / "report" / "report.html").read_text()
    for title in ("predicted latency, phone", "predicted throughput, phone", "memory"):
        assert f"<th>{title}</th>" in page
    assert "Predicted latency, phone is that of batches of 2" in page
    assert study.folder.other_tables.is_file()


def test_devices_are_bounded_and_wanted_by_their_names(tmp_path: Path) -> None:
    tables = {"phone": written(tmp_path).rename(tmp_path / "phone.json"), "server": written(tmp_path, 10)}
    named = ", ".join(f"{name}: {path}" for name, path in tables.items())
    changes = [
        *BRIEF,
        f"latency={{tables: {{{named}}}, batches: [1], seconds: 0.01}}",
        "limit={latency.phone: 70%, latency.server: 98%}",
        "objectives={accuracy: max, latency.server: min}",
    ]
    study = Study.from_yaml(TINY, overrides=changes, folder=tmp_path / "run")
    study.run(quiet=True)
    base, trials = study.record.result(PREPARE).base, study.trials()
    assert (trials["latency.phone"] <= 0.7 * base["latency.phone"]).all()
    assert (trials["latency.server"] <= 0.98 * base["latency.server"]).all()
    assert (trials["latency.phone"] > trials["latency.server"]).all(), "each has its own table"
    assert study.pareto()["latency.server"].is_monotonic_increasing
    (axis,) = _front(Findings(study.record)).axes
    assert axis.get_xlabel() == "predicted latency, server (ms)"


def test_dan_aims_at_the_milliseconds_that_the_study_limits(tmp_path: Path) -> None:
    table = written(tmp_path)
    dan = "strategy={use: dan, target: limit, arch_lr: 0.2, training: {epochs: 3, batch: 16, warmup: 0}}"
    changes = [*BRIEF[:-1], dan, "baseline=1", "limit={latency: 70%}", TABLES.replace("TABLE", str(table))]
    study = Study.from_yaml(TINY, overrides=changes, folder=tmp_path / "run")
    study.run(quiet=True)
    shares = [epoch.metrics["latency"] for epoch in study.record.result(EXPLORE).relaxation]
    assert abs(shares[-1] - 0.7) < 0.03 < abs(shares[0] - 0.7), "it comes to the limit"
    assert study.trials()["feasible"].all()


def test_the_report_shows_it_beside_what_was_timed(study: Study) -> None:
    findings = Findings(study.record)
    times = study.record.result(RETRAIN).foreseen_by["latency"]
    assert set(times) == {"base", "winner", "uniform"} - ({"uniform"} if findings.retrained.twins else set())
    assert times["winner"].predicted == findings.retrained.winner.costs["latency"]
    assert times["winner"].timed > 0
    page = (study.folder.path / "report" / "report.html").read_text()
    assert "<th>predicted latency</th>" in page
    assert "off by less than 2.0 % for half of the sub-networks that were tried and by less than 5.0 % for 95" in page
    assert "% of the predicted latency, " in findings.headline
    (axis,) = _front(findings).axes
    assert axis.get_xlabel() == "predicted latency (ms)"
    assert [text.get_text() for text in axis.texts] == ["limit 0.106 ms"]


def test_the_run_goes_on_without_the_file_and_not_with_another(study: Study, tmp_path: Path) -> None:
    again = Study.open(study.folder.path)
    assert again.resolved.limit is not None
    assert again.resolved.limit.bounds == study.resolved.limit.bounds  # type: ignore[union-attr]
    other = written(tmp_path, unit=2000)
    with pytest.raises(ConfigError, match="another table than the run began with"):
        Study.open(study.folder.path, overrides=[f"latency.table={other}"])
    same = written(tmp_path)
    Study.open(study.folder.path, overrides=[f"latency.table={same}"])
    kept = study.folder.latency_table
    content = kept.read_bytes()
    try:
        kept.write_text(json.dumps(json.loads(content) | {"constant": 1}))
        with pytest.raises(RunError, match=r"latency.json: not the file that the stage 'prepare' left \(checksum\)"):
            study.record.verify()
    finally:
        kept.write_bytes(content)


def test_the_command_line_shows_it(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(study.folder.path)
    assert cli.main(["pareto", folder]) == 0
    assert "predicted latency" in capsys.readouterr().out
    assert cli.main(["show", folder]) == 0
    shown = capsys.readouterr().out
    assert "us predicted latency" in shown
    assert "limit          latency <= " in shown


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["limit={latency: 70%}"], "'latency' is known from a table alone (nas bench STUDY --to FILE), which"),
        (["objectives={latency: min}"], "found 'latency', known from a table alone (nas bench STUDY --to FILE)"),
        (["latency.table=nowhere.json"], "nowhere.json: cannot be read (No such file or directory)"),
        (["latency.table={table}", "space.choices.heads.size=[2]"], "another choices, sizes or arguments"),
        (["latency.table={table}", "limit={latency: 3 GB}"], "found '3 GB'; allowed: a number, also with ns, us, ms"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(changes: list[str], said: str, tmp_path: Path) -> None:
    table = written(tmp_path)
    with pytest.raises(ConfigError) as refused:
        Study.from_yaml(TINY, overrides=[*BRIEF, *(change.replace("{table}", str(table)) for change in changes)])
    assert said in " ".join(str(refused.value).split())
    assert len(refused.value.faults) == 1


def test_a_table_that_is_remembered_is_found_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    written(tmp_path)
    space = space_of(tmp_path / "tiny.yaml")
    options = "latency.device={use: cpu_torch, threads: 1, batch: 2}"
    with pytest.raises(ConfigError) as refused:
        Study.from_yaml(TINY, overrides=[*CHANGES, options])
    assert "after nas bench STUDY --device '{use: cpu_torch, batch: 2, threads: 1}'" in str(refused.value)
    table = by_units(space)
    remember(table)
    study = Study.from_yaml(TINY, overrides=[*CHANGES, options], folder=tmp_path / "run")
    assert study.resolved.tables == {"latency": table}
    for other in ("{use: cpu_torch, threads: 1}", "{use: cpu_torch, threads: 1, batch: 2, precision: bfloat16}"):
        with pytest.raises(ConfigError, match="of which no table is remembered for this space"):
            Study.from_yaml(TINY, overrides=[*CHANGES, f"latency.device={other}"])
    with pytest.raises(ConfigError, match="which is not read with table"):
        Study.from_yaml(TINY, overrides=[*CHANGES, options, f"latency.table={tmp_path / 'table.json'}"])
    # Another version of what computes, or a file that somebody has changed: nothing is remembered.
    newer = replace(table, conditions=replace(table.conditions, about={**table.conditions.about, "torch": "99"}))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    remember(newer)
    assert recall(space, table.conditions.device) is None
    remember(table)
    assert recall(space, table.conditions.device) == table
    for file in (tmp_path / "other" / "nas").iterdir():
        file.write_text(file.read_text().replace('"base": ', '"base": -'))
    assert recall(space, table.conditions.device) is None
