"""Searches whose trials are also in a storage of Optuna's: whole, once, after kills too; shared by two processes; and
storages that refuse.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal import JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState
from sharing import TRIALS, in_processes, share

from nas.errors import StoreError, StrategyError
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.limit import Limit
from nas.strategies.with_optuna import storage
from nas.strategies.with_optuna.storage import journal_path, opened
from nas.strategies.with_optuna.strategy import WithOptuna
from nas.testing.toy import ACCURACY, COUPLED, MACS, Toy


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


@pytest.fixture(scope="module")
def limit(toy: Toy) -> Limit:
    return Limit(toy, macs="60%")


@pytest.fixture(params=["sqlite", "journal"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/optuna.db" if request.param == "sqlite" else f"{tmp_path}/optuna.journal"


def trials_at(url: str, name: str = "run-toy") -> list[FrozenTrial]:
    return optuna.load_study(study_name=name, storage=opened(url)).get_trials()


def numbers(url: str, name: str = "run-toy") -> list[int]:
    return [trial.user_attrs["nas_number"] for trial in trials_at(url, name)]


def test_every_trial_is_written_when_it_is_known(url: str, toy: Toy, limit: Limit) -> None:
    def measure(architecture: Architecture) -> Mapping[str, float]:
        if int(architecture.digest, 16) % 3 == 0:
            raise RuntimeError("no memory")
        return toy.measure(architecture)

    search = toy.search(trials=9, limit=limit, objectives=(ACCURACY, MACS), measure=measure, run="run")
    strategy = WithOptuna(sampler="nsga2", population=3, storage=url)
    for trial in strategy.search(search):
        assert len(trials_at(url)) == trial.number + 1
    there = trials_at(url)
    assert [t.params for t in there] == [dict(t.architecture) for t in search.history], "values, not indices"
    assert {t.state for t in there} == {TrialState.COMPLETE, TrialState.FAIL}
    for stored, trial in zip(there, search.history, strict=True):
        assert stored.values == (None if trial.error else [trial.value("accuracy"), trial.value("macs")])
        assert stored.constraints["most macs"] == trial.costs["macs"] / limit.bounds["macs"][1] - 1 <= 0
        assert stored.system_attrs["constraints"] == [stored.constraints["most macs"]], "for the dashboard of today"
        assert stored.user_attrs["error"] == (trial.error or "")
    study = optuna.load_study(study_name="run-toy", storage=opened(url))
    assert study.metric_names == ["accuracy", "macs"]
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]


def test_a_storage_changes_no_search(url: str, toy: Toy, limit: Limit) -> None:
    mirrored = WithOptuna(sampler="nsga2", population=4, storage=url).search(toy.search(trials=10, limit=limit))
    alone = WithOptuna(sampler="nsga2", population=4).search(toy.search(trials=10, limit=limit))
    assert [t.architecture for t in mirrored] == [t.architecture for t in alone]


def test_a_killed_search_completes_the_study_and_doubles_nothing(url: str, toy: Toy, limit: Limit) -> None:
    strategy = WithOptuna(sampler="nsga2", population=4, storage=url)
    first = list(itertools.islice(strategy.search(toy.search(trials=12, limit=limit, run="run")), 5))
    assert numbers(url) == [0, 1, 2, 3, 4]
    written = [t.datetime_complete for t in trials_at(url)]
    lost = [*first, *WithOptuna(sampler="nsga2", population=4).search(
        toy.search(trials=8, limit=limit, history=first, run="run")
    )]  # fmt: skip
    list(strategy.search(toy.search(trials=12, limit=limit, history=lost, run="run")))
    assert numbers(url) == list(range(12))
    assert [t.datetime_complete for t in trials_at(url)][:5] == written, "nor written anew"


def test_trials_measured_anew_take_the_place_of_the_old_ones(url: str, toy: Toy, limit: Limit) -> None:
    """The supernet was trained again: the table of trials was cleared, the study in the storage was not."""
    strategy = WithOptuna(sampler="nsga2", population=4, storage=url)
    list(strategy.search(toy.search(trials=6, limit=limit, run="run")))

    def worse(architecture: Architecture) -> Mapping[str, float]:
        return {"accuracy": toy.measure(architecture)["accuracy"] / 2}

    again = list(strategy.search(toy.search(trials=4, limit=limit, measure=worse, run="run")))
    assert [t.value for t in trials_at(url)] == [t.value("accuracy") for t in again]


def test_a_study_about_something_else_is_refused(url: str, toy: Toy) -> None:
    strategy = WithOptuna(sampler="nsga2", storage=url, study="both")
    list(strategy.search(toy.search(trials=2)))
    strategy.check(toy.problem(trials=2))
    with pytest.raises(StoreError, match="the study 'both' there is about other choices; name another"):
        strategy.check(Toy(COUPLED).problem(trials=2))
    with pytest.raises(StoreError, match=r"has other objectives \(accuracy maximized\); name another"):
        strategy.check(toy.problem(trials=2, objectives=(ACCURACY, MACS)))
    with pytest.raises(StrategyError, match="study 'both' without a storage"):
        WithOptuna(study="both").check(toy.problem(trials=2))


def test_two_processes_learn_from_one_study(url: str) -> None:
    """They have the same seed, and propose different architectures."""
    found = in_processes(share, url)
    there = trials_at(url, "both")
    assert {t.state for t in there} == {TrialState.COMPLETE}
    for run, heard, digests in found:
        own = [t for t in there if t.user_attrs["nas_run"] == run]
        assert [t.user_attrs["nas_number"] for t in own] == list(range(TRIALS))
        assert [t.user_attrs["digest"] for t in own] == digests
        assert heard > 0, "it has learned from the other"
    assert len({t.user_attrs["digest"] for t in there}) > 1.6 * TRIALS, "what one has measured, the other leaves to it"


def test_a_torn_line_of_a_journal_is_cut_before_the_next_is_written(tmp_path: Path, toy: Toy) -> None:
    url = str(tmp_path / "optuna.journal")
    strategy = WithOptuna(sampler="nsga2", storage=url)
    first = list(itertools.islice(strategy.search(toy.search(trials=6, run="run")), 4))
    content = Path(url).read_bytes()
    Path(url).write_bytes(content[:-30])  # of the last trial
    list(strategy.search(toy.search(trials=6, history=first, run="run")))
    assert numbers(url) == list(range(6))


def test_the_lock_of_a_killed_writer_is_taken_over(
    tmp_path: Path, toy: Toy, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 3)
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    strategy = WithOptuna(sampler="nsga2", storage="sub/optuna.log")
    history = list(strategy.search(toy.search(trials=1, run="run")))
    JournalFileSymlinkLock(str(journal_path("sub/optuna.log"))).acquire()  # and then it was killed
    lock = tmp_path / "sub" / "optuna.log.lock"
    assert lock.is_symlink()
    list(strategy.search(toy.search(trials=2, history=history, run="run")))
    assert not lock.is_symlink()
    assert numbers("sub/optuna.log") == [0, 1]


def nobody_listens() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:///{tmp}/nosuch/optuna.db", "there is no folder .*nosuch"),
        ("sqlite:///{tmp}/notes.db", "file is not a database"),
        ("sqlite:///{tmp}/recipes.db", "not a storage of Optuna's, it holds recipes"),
        ("sqlite:///{tmp}", "is a folder"),
        ("{tmp}/nosuch/optuna.journal", "there is no folder .*nosuch"),
        ("{tmp}/notes.log", "not a journal of Optuna's"),
        ("{tmp}/optuna.txt", r"neither a URL nor a file that ends in \.log or \.journal"),
        ("nosuchdb://me:s3cret@host/x", r"me:\*\*\*@host"),
        ("mysql+nosuch://me:s3cret@host/x", r"me:\*\*\*@host"),
        ("sqlite://", "in memory"),
    ],
)
def test_a_storage_that_refuses_is_one_line_before_anything_is_measured(
    url: str, reason: str, tmp_path: Path, toy: Toy
) -> None:
    (tmp_path / "notes.db").write_text("these are my holiday notes\n" * 200)
    (tmp_path / "notes.log").write_text("these are my holiday notes\n" * 200)
    with sqlite3.connect(tmp_path / "recipes.db") as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()
    with pytest.raises(StoreError, match=rf"^storage '.*{reason}.*; allowed: ") as caught:
        WithOptuna(storage=url.format(tmp=tmp_path)).search(toy.search(trials=2))
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.db", "notes.log", "recipes.db"]


def test_a_missing_driver_is_named(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    strategy = WithOptuna(storage=f"postgresql+psycopg2://me:s3cret@127.0.0.1:{nobody_listens()}/x")
    with pytest.raises(StoreError, match=r"me:\*\*\*@127.* needs a driver that is missing: pip install psycopg2"):
        strategy.check(toy.problem(trials=2))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path, toy: Toy) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be written"):
        WithOptuna(storage=f"sqlite:///{tmp_path}/optuna.db").check(toy.problem(trials=2))


def test_a_journal_holds_one_line_per_trial(tmp_path: Path, toy: Toy) -> None:
    url = str(tmp_path / "optuna.journal")
    lengths = []
    for _ in WithOptuna(sampler="nsga2", storage=url).search(toy.search(trials=5, run="run")):
        lines = Path(url).read_text().splitlines()
        assert all(json.loads(line) for line in lines)
        lengths.append(len(lines) - lengths[0] if lengths else len(lines))
    assert lengths[1:] == [1, 2, 3, 4]
