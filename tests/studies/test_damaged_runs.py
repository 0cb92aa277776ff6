"""Run folders that were edited, or that a disk has damaged: whatever reads them ends with a sentence, or does not care.

`DAMAGES` change a run of an earlier version, which has no checksums, so that what is wrong must be seen in what is
there. What cannot be seen there is found by the checksums of a run of today.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from studies_partial import found, run_up_to

import nas.cli
from nas.errors import NasError
from nas.studies.run.results import RETRAIN
from nas.studies.run.seals import of_bytes, of_data
from nas.studies.study import Study

OLD = Path(__file__).parent / "run_of_fa6cf74"
WINNERS = "strategy = (SELECT strategy FROM nas_trials WHERE strategy != 'uniform' LIMIT 1) AND digest = :digest"


def read(run: Path, stage: str) -> Any:
    return json.loads((run / stage / "result.json").read_text())


def edit(name: str, change: Callable[[Any], object]) -> Callable[[Path], None]:
    """Changes the JSON of a file."""

    def damage(run: Path) -> None:
        data = json.loads((run / name).read_text())
        change(data)
        (run / name).write_text(json.dumps(data))

    return damage


def sql(statement: str, **values: object) -> Callable[[Path], None]:
    """Changes the table of trials; `:digest` is the winner's."""

    def damage(run: Path) -> None:
        given = dict(values)
        if ":digest" in statement:
            given["digest"] = read(run, "explore")["winner"]["digest"]
        with sqlite3.connect(run / "trials.sqlite") as connection:
            connection.execute(statement, given)
        connection.close()

    return damage


def said(capsys: pytest.CaptureFixture[str], words: Iterable[object]) -> tuple[int, str]:
    """The exit code of a command, and what it says of a fault: no traceback, since that would be an exception here."""
    capsys.readouterr()
    code = nas.cli.main([str(word) for word in words])
    return code, capsys.readouterr().err


def latency_gone(result: Any) -> None:
    for row in result["rows"]:
        row.pop("latency_ms_batch_2", None)
        if row["model"] != "base":
            row.pop("latency_ms_batch_1")


def latency_zero(result: Any) -> None:
    result["rows"][0].update({key: 0.0 for key in result["rows"][0] if key.startswith("latency")})


def full_zero(result: Any) -> None:
    result["winner"]["full"] = dict.fromkeys(result["winner"]["full"], 0)


NOTES = json.dumps({"positions": {}, "grid": 3, "tolerance": "x"})
PREPARE, RETRAINED, EXTRACT = (f"{stage}/result.json" for stage in ("prepare", "retrain", "extract"))
DAMAGES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "the winner's row is gone": (sql(f"DELETE FROM nas_trials WHERE {WINNERS}"), "report", "trials.sqlite.* trials, "),
    "the winner's row is another's": (
        sql(f"UPDATE nas_trials SET strategy = 'else' WHERE {WINNERS}"), "report", "the best, is not among them",
    ),
    "all rows are gone": (sql("DELETE FROM nas_trials"), "report", "0 trials, .* when the search ended"),
    "all rows are gone, compare": (sql("DELETE FROM nas_trials"), "compare", "0 trials, .* when the search ended"),
    "all rows are gone, pareto": (sql("DELETE FROM nas_trials"), "pareto", "0 trials, .* when the search ended"),
    "costs of 0": (sql("UPDATE nas_trials SET costs = '{\"macs\": 0, \"params\": 1}'"), "pareto", "'costs'"),
    "costs of -5": (sql("UPDATE nas_trials SET costs = '{\"macs\": -5, \"params\": 1}'"), "pareto", "'costs.macs'"),
    "costs of NaN": (sql("UPDATE nas_trials SET costs = '{\"macs\": NaN, \"params\": 1}'"), "pareto", "'costs"),
    "costs over 64 bits": (
        sql("UPDATE nas_trials SET costs = :costs", costs=json.dumps({"macs": 2**63, "params": 1})), "pareto", "'costs",
    ),
    "costs without what is bounded": (
        sql("UPDATE nas_trials SET costs = :costs", costs=json.dumps({"params": 1})), "pareto", "'costs'",
    ),
    "a metric of NaN": (sql("UPDATE nas_trials SET metrics = '{\"accuracy\": NaN}'"), "pareto", "'metrics.accuracy'"),
    "a metric called digest": (sql("UPDATE nas_trials SET metrics = '{\"digest\": 1.0}'"), "pareto", "'metrics'"),
    "a metric called as a choice": (
        sql("UPDATE nas_trials SET metrics = :metrics", metrics=json.dumps({"heads.0": 1.0})), "pareto", "heads.0",
    ),
    "notes of another shape": (sql("UPDATE nas_trials SET notes = :notes", notes=NOTES), "report", "notes of the win"),
    "notes that are a list": (sql("UPDATE nas_trials SET notes = '[1]'"), "report", "'notes'"),
    "a part that is text": (sql("UPDATE nas_trials SET notes = '{\"parts\": [0.5, \"1\"]}'"), "pareto", "'notes.1'"),
    "a share that is text": (sql("UPDATE nas_trials SET notes = '{\"share\": \"x\"}'"), "pareto", "'notes'"),
    "deep notes": (sql("UPDATE nas_trials SET notes = :notes", notes="[" * 9999), "pareto", "damaged"),
    "a value of 5,000 digits": (
        sql("UPDATE nas_trials SET architecture = :value", value='{"a": ' + "9" * 5000 + "}"), "pareto", "damaged",
    ),
    "latency is missing": (edit(RETRAINED, latency_gone), "report", "'rows' is missing or wrong"),
    "latency is 0": (edit(RETRAINED, latency_zero), "report", "'rows' is missing or wrong"),
    "a row without the metric": (
        edit(RETRAINED, lambda result: result["rows"][1].pop("test_accuracy")), "report", "rows without test_accuracy",
    ),
    "full is 0": (edit(EXTRACT, full_zero), "report", "'winner.full"),
    "full is empty": (edit(EXTRACT, lambda result: result["winner"].update(full={})), "report", "'winner'"),
    "kinds is empty": (edit(PREPARE, lambda result: result["space"].update(kinds={})), "show", "'space'"),
    "5,000 digits": (
        edit(PREPARE, lambda result: result["space"].update(architectures="9" * 5000)), "show", "'space.architectures'",
    ),
    "a choice over 64 bits": (
        edit(PREPARE, lambda result: result["space"]["choices"].update({"heads.0": [2**1999]})), "show", "heads.0",
    ),
    "costs of the base over 64 bits": (
        edit(PREPARE, lambda result: result["base"].update(macs=2**64)), "report", "'base.macs'",
    ),
    "a bound of what there is not": (
        edit(PREPARE, lambda result: result["limit"]["bounds"].update(nosuch=[0, 1])), "pareto", "no 'nosuch'",
    ),
    "a date that is none": (edit("run.json", lambda run: run.update(created="soon")), "show", "'created'"),
    "the driver's date is none": (
        sql("INSERT INTO nas_drivers SELECT run, 'd', 'h', 'm', 1, 'b', 's', '', '[]', 0, 'soon' "
            "FROM nas_trials LIMIT 1"),
        "show", "the driver's row of run .* is damaged",
    ),
    "the driver's number is none": (
        sql("INSERT INTO nas_drivers SELECT run, 'd', 'h', 'm', 'x', 'b', 's', '', '[]', 0, '2026-01-01 00:00:00' "
            "FROM nas_trials LIMIT 1"),
        "show", "the driver's row of run .* is damaged",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_that_can_be_seen_is_told(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage, command, message = DAMAGES[name]
    run = Path(shutil.copytree(OLD, tmp_path / "run"))
    damage(run)
    code, err = said(capsys, [command, run])
    assert code == 2
    assert re.search(message, " ".join(err.split())), err
    assert str(run) in err, "the file is named"


def flip(name: str) -> Callable[[Path], None]:
    """Another byte in the middle of a file."""

    def damage(run: Path) -> None:
        content = bytearray((run / name).read_bytes())
        content[len(content) // 2] ^= 1
        (run / name).write_bytes(content)

    return damage


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Other text in a file."""

    def damage(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))

    return damage


def base_in_place_of_the_supernet(run: Path) -> None:
    shutil.copy(run / "base" / "weights.safetensors", run / "supernet" / "weights.safetensors")


def resealed(name: str, change: Callable[[Any], object]) -> Callable[[Path], None]:
    """Changes the JSON of a file, and makes its checksum right."""

    def whole(data: Any) -> None:
        del data["sha256"]
        change(data)
        data["sha256"] = of_data(data)

    return edit(name, whole)


def worse_accuracy(run: Path) -> None:
    edit("explore/result.json", lambda result: result["winner"]["metrics"].update(accuracy=0.01))(run)


WEIGHTS = r"weights\.safetensors: not the file that the stage 'supernet' left"
SILENT: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "one byte of the supernet": (flip("supernet/weights.safetensors"), "extract", WEIGHTS),
    "one byte of the supernet, report": (flip("supernet/weights.safetensors"), "report", WEIGHTS),
    "the base's weights": (base_in_place_of_the_supernet, "extract", WEIGHTS),
    "one byte of the winner": (flip("extract/winner/model.safetensors"), "run", "that the stage 'extract' left"),
    "another training": (
        edit("retrain/winner.json", lambda training: training.update(digest="0" * 12)), "report", "'retrain' left",
    ),
    "a file is gone": (lambda run: (run / "retrain" / "winner.json").unlink(), "report", "cannot read .*winner.json"),
    "another loss": (replace("study.yaml", "loss: adjoined", "loss: plain"), "report", r"study\.yaml: changed since"),
    "another direction": (replace("study.yaml", "accuracy: max", "accuracy: min"), "pareto", r"study\.yaml: changed"),
    "costs of 1": (
        sql("UPDATE nas_trials SET costs = :costs", costs=json.dumps({"macs": 1, "params": 1})), "pareto", "checksum",
    ),
    "a better metric": (
        sql("UPDATE nas_trials SET metrics = :metrics WHERE number = 3",
            metrics=json.dumps({"accuracy": 0.99, "loss": 0.1})), "report", "checksum",
    ),
    "a row is gone": (sql("DELETE FROM nas_trials WHERE number = 3"), "compare", "when the search ended"),
    "a result": (worse_accuracy, "report", r"explore/result\.json: damaged, or changed since it was written"),
    "the settings of run.json": (
        resealed("run.json", lambda identity: identity.update(settings=["0" * 64])), "show", "changed since the run",
    ),
    "run.json": (edit("run.json", lambda run: run.update(threads=3)), "show", r"run\.json: damaged, or changed since"),
}  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_damage_that_cannot_be_seen_is_found_by_checksums(
    finished: Study, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, command, message = SILENT[name]
    run = Path(shutil.copytree(finished.folder.path, tmp_path / "run"))
    damage(run)
    code, err = said(capsys, [command, run, *(["--to", tmp_path / "model"] if command == "extract" else [])])
    assert code == 2
    assert re.search(message, " ".join(err.split())), err
    assert str(run) in err, "the file is named"


def test_a_run_of_an_earlier_version_has_no_checksums(tmp_path: Path) -> None:
    run = Path(shutil.copytree(OLD, tmp_path / "run"))
    replace("study.yaml", "accuracy: max", "accuracy: min")(run)
    assert len(Study.open(run).trials())


def test_a_comment_changes_no_study(finished: Study, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished.folder.path, tmp_path / "run"))
    text = (run / "study.yaml").read_text()
    (run / "study.yaml").write_text(f"# the first one\n{text}# that worked\n")
    assert found(Study.open(run)) == found(finished)


def test_checksums_of_study_yaml_once_were_of_its_bytes(finished: Study, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished.folder.path, tmp_path / "run"))
    before = of_bytes((run / "study.yaml").read_bytes())
    resealed("run.json", lambda identity: identity.update(settings=[before]))(run)
    assert len(Study.open(run).trials())
    replace("study.yaml", "accuracy: max", "accuracy: min")(run)
    with pytest.raises(NasError, match="changed since the run was begun"):
        Study.open(run)


@pytest.mark.parametrize("stage", ["prepare", "supernet", "extract"])
def test_what_was_found_is_not_dropped_because_a_file_is_gone(finished: Study, tmp_path: Path, stage: str) -> None:
    run = Path(shutil.copytree(finished.folder.path, tmp_path / "run"))
    (run / stage / "result.json").unlink()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and "sqlite-" not in path.name}
    with pytest.raises(NasError, match=rf"the stage '{stage}' has no result .*retrain, report;.*--from {stage}"):
        Study.open(run).run(quiet=True)
    assert {path: path.read_bytes() for path in before} == before


def test_a_stage_is_made_anew_where_that_is_asked_for(
    finished: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(finished.folder.path, tmp_path / "run"))
    flip("extract/winner/model.safetensors")(run)
    (run / "explore" / "result.json").write_text("{")
    assert said(capsys, ["run", run, "--from", "extarct"])[1].startswith(
        "error: no stage 'extarct'; there are: prepare"
    )
    assert said(capsys, ["run", run, "--from", "extract"])[0] == 2, "what it is made from is damaged"
    again = run_up_to("extract", Study.open(run), start="explore")
    assert found(again) == found(finished)
    assert not (run / "extract" / "winner").exists()


def test_a_gap_in_the_trials_of_a_search_that_goes_on(finished: Study, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished.folder.path, tmp_path / "run"))
    for stage in ("explore", "finalists", "extract", "retrain", "report"):
        shutil.rmtree(run / stage)
    sql("DELETE FROM nas_trials WHERE number = 3")(run)
    with pytest.raises(NasError, match=r"trial 3 by evolution is missing .*--from explore"):
        Study.open(run).run(quiet=True)


def test_a_finished_run_is_timed_anew_and_nothing_else(finished: Study, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished.folder.path, tmp_path / "run"))
    Study.open(run, overrides=["latency.batches=[3]"]).run(quiet=True)
    rows, before = (study.record.result(RETRAIN).rows for study in (Study.open(run), finished))
    assert [set(row.latency) for row in rows] == [{"3"}] * len(rows)
    assert [dataclasses.replace(row, latency={}) for row in rows] == [
        dataclasses.replace(row, latency={}) for row in before
    ]
    kept = "retrain/winner.json"
    assert (run / kept).read_bytes() == (finished.folder.path / kept).read_bytes(), "it was not trained again"
    with pytest.raises(NasError, match=r"allowed: --set data\.path=.*latency\.batches"):
        Study.open(run, overrides=["base.epochs=3"])
