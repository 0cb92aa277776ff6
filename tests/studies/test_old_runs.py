"""Runs that an earlier version made, commit fa6cf74, are read, continued and reported as it did.

`run_of_fa6cf74` is a finished run with an answer of `nas tau`, without its page; `run_of_fa6cf74_unfinished` is the
same study, stopped after the stage `supernet`; `run_of_fa6cf74_expected` is what that version wrote of the first. Only
what a user has is used here: the command line, `nas.Study`, `nas.load`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import nas
import nas.cli
from nas.studies.run.seals import of_data

HERE = Path(__file__).parent
RUN, UNFINISHED, EXPECTED = (HERE / f"run_of_fa6cf74{end}" for end in ("", "_unfinished", "_expected"))
TAU = ("--architectures", "4", "--epochs", "1", "--seeds", "1")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RUN, tmp_path / "run"))


def said(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    capsys.readouterr()
    assert nas.cli.main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def expected(name: str) -> pd.DataFrame:
    return pd.read_csv(EXPECTED / f"{name}.csv")


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def results(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "report" / "results.csv")


@pytest.mark.parametrize(("name", "options"), [("trials", ["--trials"]), ("pareto", [])])
def test_tables_are_what_they_were(run: Path, tmp_path: Path, name: str, options: list[str]) -> None:
    assert nas.cli.main(["pareto", str(run), *options, "--csv", str(tmp_path / "written.csv")]) == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "written.csv"), expected(name), check_exact=True)
    study = nas.Study.open(run)
    frame = study.trials() if name == "trials" else study.pareto()
    assert list(frame.columns) == list(expected(name).columns)
    assert list(frame["digest"]) == list(expected(name)["digest"])


def test_the_report_is_written_anew(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "report" / "results.csv").unlink()
    assert "winner, retrained" in said(capsys, "report", run)
    pd.testing.assert_frame_equal(results(run), expected("results"), check_exact=True)
    page = (run / "report" / "report.html").read_text()
    assert "<td>tau</td><td>1.00</td><td>0.98 to 1.00</td>" in page, "the answer of nas tau is in it"


def test_a_run_is_shown(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = said(capsys, "show", run)
    stages = ("prepare", "base", "supernet", "explore", "extract", "retrain", "report")
    assert all(word in shown for word in ("vit_tiny_patch16_224", "272", "87.5 %", *stages))


def test_the_winner_is_extracted_as_it_was(run: Path, tmp_path: Path) -> None:
    assert nas.cli.main(["extract", str(run), "--to", str(tmp_path / "winner")]) == 0
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    new, old = (nas.load(folder).eval() for folder in (tmp_path / "winner", run / "extract" / "winner"))
    assert torch.equal(new(images), old(images))
    assert nas.load(run / "retrain" / "winner").eval()(images).shape == (5, 10)


def test_a_finished_run_has_nothing_left_to_do(run: Path) -> None:
    before = content(run)
    assert nas.cli.main(["run", str(run), "--quiet"]) == 0
    assert content(run) == before


def test_an_answer_of_tau_is_not_worked_out_again(run: Path, tmp_path: Path) -> None:
    before = content(run / "tau")
    assert nas.cli.main(["tau", str(run), *TAU, "--csv", str(tmp_path / "tau.csv")]) == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "tau.csv"), expected("tau"), check_exact=True)
    after = content(run / "tau")
    (answer,) = (name for name in before if "/" not in name)
    assert after.keys() == before.keys()
    assert {name for name in before if after[name] != before[name]} == {answer}, "nothing was retrained or drawn anew"
    new, old = (json.loads(files[answer]) for files in (after, before))
    assert new.pop("sha256") == of_data(new)
    assert {key: new[key] for key in ("table", "images", "ties")} == {
        key: old[key] for key in ("table", "images", "ties")
    }
    # More is said since of the same two rankings, nothing else.
    statistics = {row["statistic"]: row for row in new["summary"]}
    assert [{key: statistics[row["statistic"]][key] for key in row} for row in old["summary"]] == old["summary"]


def test_an_unfinished_run_is_continued(tmp_path: Path) -> None:
    run = Path(shutil.copytree(UNFINISHED, tmp_path / "run"))
    before = content(run)
    assert nas.cli.main(["run", str(run), "--quiet"]) == 0
    after = content(run)
    for stage in ("prepare", "base", "supernet"):
        assert {n: b for n, b in after.items() if n.startswith(stage)} == {
            n: b for n, b in before.items() if n.startswith(stage)
        }, f"{stage} was finished before"
    _alike(nas.Study.open(run).trials(), expected("trials"), ["seconds", "error"])
    before_details = expected("results")  # of the test split, which are measured since
    _alike(
        results(run)[list(before_details.columns)],
        before_details,
        ["latency_ms_batch_1", "latency_ms_batch_2", "commit"],
    )
    assert _winner(run) == _winner(RUN)
    # Its architectures are drawn in another way since.
    assert nas.cli.main(["tau", str(run), *TAU, "--csv", str(tmp_path / "tau.csv")]) == 0
    assert len(pd.read_csv(tmp_path / "tau.csv")) == len(expected("tau"))


def _alike(found: pd.DataFrame, before: pd.DataFrame, times: list[str]) -> None:
    """Equal but for times, and for what another processor's rounding may do: two of 359 test images."""
    assert list(found.columns) == list(before.columns)
    shares, losses = ([name for name in found.columns if name.endswith(end)] for end in ("accuracy", "loss"))
    same = [name for name in found.columns if name not in (*shares, *losses, *times)]
    pd.testing.assert_frame_equal(found[same], before[same], check_dtype=False, check_exact=True)
    pd.testing.assert_frame_equal(found[shares], before[shares], rtol=0, atol=6e-3)
    pd.testing.assert_frame_equal(found[losses], before[losses], rtol=1e-3)


def _winner(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "explore" / "result.json").read_text())["winner"]
    return {key: found[key] for key in ("strategy", "number", "digest", "architecture", "costs")}
