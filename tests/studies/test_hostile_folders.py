"""A run's folder from somebody else: nothing is written outside of it, nothing in it runs, nothing is dialled unasked,
and no text in it is obeyed.
"""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from studies_fakes import TINY, unsealed

from nas import cli
from nas.errors import ConfigError, RunError
from nas.foreign import printable
from nas.search import Problem
from nas.strategies.evolution import Evolution
from nas.studies.run.record import Record
from nas.studies.study import Study

NASTY = "[/red] $x^{$ <b>&lt; :smile: [bold]"
"""A name that the pattern allows."""
HOST = "db.example:5432"
Said = Callable[..., str]


@pytest.fixture
def run(finished: Study, tmp_path: Path) -> Path:
    """A finished run, to be changed."""
    return Path(shutil.copytree(finished.folder.path, tmp_path / "run"))


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """What a command prints, on both streams; it ends with `code`, and without a traceback."""

    def said(*words: str | Path, code: int = 0) -> str:
        capsys.readouterr()
        assert cli.main([str(word) for word in words]) == code, capsys.readouterr()
        captured = capsys.readouterr()
        text = captured.out + captured.err
        assert "Traceback" not in text
        assert printable(text) == text
        return text

    return said


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Addresses that were looked up or connected to."""
    dialled: list[object] = []

    def refuse(*address: object, **_: object) -> None:
        dialled.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return dialled


def changed(run: Path, old: str, new: str) -> None:
    """Edits the study of a run."""
    text = (run / "study.yaml").read_text()
    assert old in text
    (run / "study.yaml").write_text(text.replace(old, new, 1))
    unsealed(run)


@pytest.mark.parametrize(
    "name", ["lock", "report", "trials.sqlite", "trials.sqlite-wal", "retrain/winner", "explore/result.json", "tau",
             "study.yaml", "report/results.csv"]
)  # fmt: skip
def test_a_link_in_a_run_is_refused(run: Path, tmp_path: Path, said: Said, name: str) -> None:
    link = run / name
    elsewhere = tmp_path / "elsewhere"
    if link.is_dir():
        shutil.move(link, elsewhere)
    elif link.exists():
        shutil.copy(link, elsewhere)
        link.unlink()
    link.symlink_to(elsewhere)
    before = [path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.exists()]
    for words in (("report", run), ("run", run), ("retrain", run), ("show", run), ("tau", run),
                  ("extract", run, "--to", tmp_path / "model")):  # fmt: skip
        assert f"{link}: a link, which a run's folder may not hold" in said(*words, code=2)
    assert [path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.exists()] == before


def test_links_that_are_not_ours_and_the_folder_itself_may_be_links(run: Path, tmp_path: Path, said: Said) -> None:
    (run / "images").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(run)
    said("report", tmp_path / "link")


def test_a_link_that_waits_for_the_report_is_refused_and_not_followed(run: Path, tmp_path: Path, said: Said) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    (run / "report" / ".results.csv.partial").symlink_to(victim)
    said("report", run, code=2)
    assert victim.read_text() == "precious"


def test_settings_are_their_owners(finished: Study) -> None:
    assert finished.folder.study_file.stat().st_mode & 0o777 == 0o600


def test_reading_a_run_checks_no_strategy(
    run: Path, tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(self: Evolution, problem: Problem) -> None:
        raise AssertionError("a strategy may connect to anything")

    monkeypatch.setattr(Evolution, "check", check)
    said("extract", run, "--to", tmp_path / "model")
    (tmp_path / "tiny.yaml").write_text(TINY)
    said("show", tmp_path / "tiny.yaml")
    said("run", run, "--quiet")  # it is finished
    with pytest.raises(AssertionError):
        Study.from_yaml(TINY)


def test_a_store_that_a_folder_names_is_not_dialled(
    run: Path, tmp_path: Path, said: Said, no_network: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(run, "\nstore:\n", f"\nstore: postgresql+psycopg2://me@{HOST}/x\n")
    asked = f"was named by it: store {HOST}; allowed with --trust"
    for words in (("show",), ("pareto",), ("report",), ("compare",), ("export", "--optuna", f"sqlite:///{tmp_path}/o.db"),
                  ("extract", "--to", tmp_path / "a", "--trial", "0"), ("retrain",)):  # fmt: skip
        assert asked in said(words[0], run, *words[1:], code=2)
    said("extract", run, "--to", tmp_path / "model")  # the winner needs no store
    with pytest.raises(RunError, match="allowed with --trust"):
        Study.open(run).trials()
    opened: list[str] = []
    monkeypatch.setattr("nas.studies.run.record.Store.open", lambda url: opened.append(url) or pytest.skip("trusted"))
    assert no_network == []
    for variable in (HOST, "other, db.example"):
        monkeypatch.setenv("NAS_TRUST", variable)
        with pytest.raises(pytest.skip.Exception):
            Record.open(run).stored()
    monkeypatch.delenv("NAS_TRUST")
    with pytest.raises(pytest.skip.Exception):
        Record.open(run, trust=True).stored()
    assert len(opened) == 3


@pytest.mark.parametrize(
    ("old", "new", "asked"),
    [
        ("\nstore:\n", "\nstore: sqlite:////nosuch/victim.sqlite\n", "store /nosuch/victim.sqlite"),
        ("\n  address: local\n", f"\n  address: ray://{HOST}\n", f"ray {HOST}"),
        ("\n  use: evolution\n", f"\n  use: with_optuna\n  storage: mysql://{HOST}/x\n", f"strategy.storage {HOST}"),
        ("\n  use: evolution\n", "\n  use: with_optuna\n  storage: /nosuch/a.log\n", "strategy.storage /nosuch/a.log"),
        (
            "\n  use: evolution\n",
            f"\n  use: with_raytune\n  searcher: {{use: with_optuna, storage: mysql://{HOST}/x}}"
            f"\n  ray: {{address: {HOST}}}\n",
            f"strategy.searcher.storage {HOST}, strategy.ray {HOST}",
        ),
    ],
)
def test_a_run_that_would_go_elsewhere_asks_first(
    run: Path, said: Said, no_network: list[object], old: str, new: str, asked: str
) -> None:
    pytest.importorskip("optuna")
    pytest.importorskip("ray")
    changed(run, old, new)
    text = (run / "study.yaml").read_text()
    for option in ("population", "sample", "parents", "mutation", "crossover"):
        if "use: with_" in text:
            text = "\n".join(line for line in text.splitlines() if not line.startswith(f"  {option}:")) + "\n"
    (run / "study.yaml").write_text(text)
    for stage in ("explore", "finalists", "extract", "retrain", "report"):
        (run / stage / "result.json").unlink()
    assert f"was named by it: {asked}; allowed with --trust" in said("run", run, code=2)
    assert no_network == []


def test_modules_of_the_current_folder_are_not_run(run: Path, tmp_path: Path) -> None:
    """Torchrun starts its workers so."""
    for name in ("pydantic.py", "ruamel.py", "torch.py"):
        (run / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    command = [sys.executable, "-m", "nas.cli", "show", "."]
    done = subprocess.run(command, cwd=run, check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


def test_the_plots_settings_are_not_those_of_the_current_folder(run: Path, tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.size: 40\nsvg.fonttype: none\n")
    before = (run / "report" / "report.html").read_text()
    command = [
        sys.executable,
        "-c",
        "import sys; from nas.cli import main; sys.exit(main(sys.argv[1:]))",
        "report",
        str(run),
    ]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    after = (run / "report" / "report.html").read_text()
    assert figures(after) == figures(before)


def figures(page: str) -> list[str]:
    return [figure.partition("</svg>")[0] for figure in page.split("<svg")[1:]]


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose strategy has a nasty name, and whose folder is called so too."""
    folder = tmp_path_factory.mktemp("nasty") / "50%25 q?a=b [/red] $x^{$"
    study = Study.from_yaml(TINY, overrides={"strategy.name": f'"{NASTY}"'}, folder=folder)
    study.run(quiet=True)
    with sqlite3.connect(folder / "trials.sqlite") as trials:
        trials.execute("UPDATE nas_trials SET error = ? WHERE id = 1", ("=cmd|[/x] \x1b[2J\u202e $y_{$",))
        trials.execute(
            "INSERT INTO nas_drivers SELECT run, 'd', ?, '', 1, '', '2026', '[bold]', '[]', 0, '2026-01-01 00:00:00' "
            "FROM nas_trials LIMIT 1", ("[/red]\x1b[2J",)
        )  # fmt: skip
    unsealed(folder)
    return folder


def test_the_trials_lie_in_the_folder_whatever_it_is_called(nasty: Path) -> None:
    assert [path.name for path in nasty.parent.iterdir()] == [nasty.name]
    assert len(Record.open(nasty).stored()) == 24


def test_no_command_obeys_a_name(nasty: Path, tmp_path: Path, said: Said) -> None:
    pytest.importorskip("optuna")
    out = said("show", nasty)
    assert "[/red]\\x1b[2J" in out
    assert NASTY in said("pareto", nasty, "--trials")
    said("retrain", nasty)
    said("run", nasty)
    tables = {name: tmp_path / f"{name}.csv" for name in ("pareto", "compare", "tau")}
    said("pareto", nasty, "--trials", "--csv", tables["pareto"])
    assert "'=cmd|[/x] \\x1b[2J\\u202e $y_{$" in tables["pareto"].read_text()
    said("compare", nasty, nasty, "--csv", tables["compare"], "--plot", tmp_path / "compare.svg")
    said("tau", nasty, "--architectures", "4", "--epochs", "1", "--csv", tables["tau"], "--plot", tmp_path / "tau.svg")
    said("report", nasty)
    page = (nasty / "report" / "report.html").read_text()
    assert "<b>&lt;" not in page.replace(NASTY, "")
    assert NASTY in said("export", nasty, "--optuna", f"sqlite:///{tmp_path}/optuna.db")
    said("extract", nasty, "--to", tmp_path / "[/red] $m^{$")


@pytest.mark.parametrize("name", ["=1+1", "-x", "@x", "a\u202eb", "n" * 65, "a\x1bb"])
def test_a_strategy_has_a_proper_name(name: str) -> None:
    study = TINY.replace("use: evolution", f"use: evolution, name: {json.dumps(name)}")
    with pytest.raises(ConfigError, match=r"strategy.name: found .*allowed: at most 64 printable characters"):
        Study.from_yaml(study)
