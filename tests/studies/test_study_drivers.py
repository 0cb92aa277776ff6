"""Who drives a run: signs of life, drivers that are refused and drivers that are taken over."""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from studies_fakes import claim_and_die, trial

from nas.cli import main
from nas.errors import RunError, StoreError
from nas.studies.report.findings import Findings
from nas.studies.run.frames import RUNNING, running_frame
from nas.studies.run.results import BASE, EXTRACT, REPORT, RETRAIN, STAGES, SUPERNET, Stage, StageResult
from nas.studies.show import _running
from nas.studies.stages.order import RUN
from nas.studies.stages.supernets import Supernets
from nas.studies.stages.workshop import CHECKPOINT, Workshop
from nas.studies.store import drivers
from nas.studies.store.drivers import Driver, UnderWay
from nas.studies.store.heartbeat import Activity, driving
from nas.studies.store.store import Store
from nas.studies.study import Study
from nas.system.database import sqlite_url
from nas.training import Epoch, checkpoint
from nas.training.bar import Bar
from nas.training.fit import _Run

CHOICES = {"heads.0": [1, 2], "mlp.0": [0.25, 0.5]}
ELSEWHERE = {"host": "elsewhere", "machine": "another"}
"""Of a driver about which only its signs of life can tell."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "BEAT", 0.02)
    monkeypatch.setattr(drivers, "GRACE", 0.4)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_url(tmp_path / "trials.sqlite")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.create(url) as opened:
        yield opened


def until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def beating(store: Store, run: str) -> Iterator[None]:
    """Signs of life of whoever drives the run, which leave the time in its row as it is."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.02):
            with store._engine.begin() as connection:
                connection.execute(sa.text("UPDATE nas_drivers SET beats = beats + 1"))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_driver_says_what_it_is_at_for_as_long_as_it_lives(url: str, store: Store) -> None:
    activity = Activity()
    with driving(Store.create(url), "run", activity, lambda _: None):
        activity.stage = "explore"
        for number in (3, 4, 5):
            activity.begin("evolution", number, trial(number).architecture)
        activity.end("evolution", 4)
        until(lambda: len(getattr(store.drivers.of("run"), "under_way", ())) == 2)
        found = store.drivers.of("run")
        assert found is not None
        assert (found.stage, found.stale, found.pid) == ("explore", False, Driver().pid)
        named = [(one.strategy, one.number, one.digest) for one in found.under_way]
        assert named == [("evolution", n, trial(n).architecture.digest) for n in (3, 5)]
        beats = found.beats
        until(lambda: getattr(store.drivers.of("run"), "beats", 0) > beats + 2)
        assert store.drivers.of("other") is None
    assert store.drivers.of("run") is None


def test_a_second_driver_is_refused_while_the_first_lives(url: str, store: Store) -> None:
    drivers.GRACE = 60  # it must be refused at the first sign of life
    asked: list[Driver] = []
    with driving(Store.create(url), "run", Activity(), lambda _: None), pytest.raises(RunError) as caught:
        store.drivers.claim("run", Driver(**ELSEWHERE), asked.append)
    assert len(asked) == 1
    assert f"process {Driver().pid} on {Driver().host}, begun 2" in str(caught.value)
    assert "is running this study" in str(caught.value)


def test_two_runs_of_one_store_have_a_driver_each(store: Store) -> None:
    for run in ("a", "b"):
        store.drivers.claim(run, Driver(), lambda _: pytest.fail("nobody is in the way"))


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_only_what_one_reader_sees_decides_whatever_clocks_say(store: Store, hours: int) -> None:
    store.drivers.claim("run", Driver(**ELSEWHERE), lambda _: None)
    with store._engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE nas_drivers SET seen = datetime('now', '{hours:+} hours')"))
    with beating(store, "run"), pytest.raises(RunError, match="on elsewhere"):
        store.drivers.claim("run", Driver(), lambda _: None)
    started = time.monotonic()
    store.drivers.claim("run", Driver(), lambda _: None)
    assert time.monotonic() - started >= drivers.GRACE


def test_a_driver_that_was_taken_over_writes_nothing_more(url: str, store: Store) -> None:
    old, new = Driver(**ELSEWHERE), Driver()
    for driver in (old, new):
        store.drivers.claim("run", driver, lambda _: None)
    with Store.create(url, driver=old.driver) as suspended:
        for write in (lambda: suspended.record("run", trial(0)), lambda: suspended.clear("run")):
            with pytest.raises(StoreError, match="another process has taken over run run"):
                write()
        assert not suspended.drivers.beat("run", old, "explore", ())
        suspended.drivers.release("run", old)
    with Store.create(url, driver=new.driver) as owned:
        owned.record("run", trial(0))
        assert owned.trials("run", choices=CHOICES) == [trial(0)]


@pytest.mark.parametrize("stage", [BASE, RETRAIN], ids=lambda stage: stage.name)
def test_a_driver_that_loses_its_run_in_a_training_stops_before_the_next_checkpoint(
    stage: Stage[StageResult], finished: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _up_to(stage, finished, tmp_path)

    def lose(run: _Run, epoch: int, bar: Bar) -> Epoch:
        _take_over(folder)
        return trained(run, epoch, bar)

    trained = _Run.epoch
    monkeypatch.setattr(_Run, "epoch", lose)
    monkeypatch.setattr(checkpoint, "save", lambda *_: pytest.fail("wrote a checkpoint"))
    with pytest.raises(StoreError, match="another process has taken over run"):
        Study.open(folder, trust=True).run(quiet=True)
    assert not (folder / stage.name / "result.json").exists()


def test_a_driver_that_loses_its_run_writes_no_report(
    finished: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _up_to(REPORT, finished, tmp_path)

    def lose(_: Findings) -> str:
        _take_over(folder)
        return "<html>"

    monkeypatch.setattr("nas.studies.report.files.page", lose)
    with pytest.raises(StoreError, match="another process has taken over run"):
        Study.open(folder, trust=True).run(quiet=True)
    assert not (folder / "report").exists()


def test_a_driver_that_loses_its_run_finishes_no_stage(
    finished: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _up_to(EXTRACT, finished, tmp_path)

    def lose(workshop: Workshop) -> StageResult:
        result = stage_of(workshop)
        _take_over(folder)
        return result

    stage_of = RUN[EXTRACT]
    monkeypatch.setitem(RUN, EXTRACT, lose)
    with pytest.raises(StoreError, match="another process has taken over run"):
        Study.open(folder, trust=True).run(quiet=True)
    assert not (folder / EXTRACT.name / "result.json").exists()


@pytest.mark.parametrize(
    ("stage", "owner", "method", "calls"),
    [(BASE, checkpoint, "save", 2), (SUPERNET, checkpoint, "save", 2), (EXTRACT, Supernets, "of", 1)],
    ids=["base", "supernet", "extract"],
)
def test_a_driver_that_loses_its_run_keeps_no_model_and_exits_with_2(
    stage: Stage[StageResult],
    owner: Any,
    method: str,
    calls: int,
    finished: Study,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After its last epoch, or while it reads what it was about to extract."""
    folder, original, left = _up_to(stage, finished, tmp_path), getattr(owner, method), [calls]

    def lose(*given: Any) -> Any:
        result = original(*given)
        left[0] -= 1
        if not left[0]:
            _take_over(folder)
        return result

    monkeypatch.setattr(owner, method, lose)
    assert main(["run", str(folder), "--quiet"]) == 2
    assert "another process has taken over run" in capsys.readouterr().err
    files = {path.name for path in (folder / stage.name).rglob("*") if path.is_file()}
    assert files <= {CHECKPOINT}


def _up_to(stage: Stage[StageResult], finished: Study, tmp_path: Path) -> Path:
    """A copy of a finished run that has this stage before it."""
    folder = tmp_path / "run"
    shutil.copytree(finished.folder.path, folder)
    for later in STAGES[STAGES.index(stage) :]:
        shutil.rmtree(folder / later.name, ignore_errors=True)
    return folder


def _take_over(folder: Path) -> None:
    """As another machine does that has waited in vain for a sign of life."""
    with sa.create_engine(sqlite_url(folder / "trials.sqlite")).begin() as connection:
        connection.execute(sa.text("UPDATE nas_drivers SET driver = 'another'"))


def test_a_killed_driver_of_this_machine_is_taken_over_at_once(url: str, store: Store) -> None:
    if not Driver().machine:
        pytest.skip("this system does not tell which processes can see each other")
    drivers.GRACE = 600
    process = multiprocessing.get_context("fork").Process(target=claim_and_die, args=(url, "run"))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    found = store.drivers.of("run")
    assert found is not None
    assert found.stale
    store.drivers.claim("run", Driver(), lambda _: pytest.fail("there is nothing to wait for"))


def test_of_two_that_take_over_one_does(store: Store) -> None:
    dead, first, second = Driver(**ELSEWHERE), Driver(), Driver()
    store.drivers.claim("run", dead, lambda _: None)
    seen = store.drivers.of("run")
    assert [store.drivers._put("run", driver, seen) for driver in (first, second)] == [True, False]
    assert [store.drivers._put("free", driver, None) for driver in (first, second)] == [True, False]


def test_signs_of_life_that_cannot_be_given_do_not_end_the_search(url: str, store: Store) -> None:
    with driving(Store.create(url), "run", Activity(), lambda _: None):
        with store._engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE nas_drivers"))
        time.sleep(0.1)
        store.record("run", trial(0))
    assert store.trials("run", choices=CHOICES) == [trial(0)]


def test_a_store_of_the_former_version_is_read_as_it_is_and_completed_when_written_to(url: str, store: Store) -> None:
    store.record("run", trial(0))
    with store._engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE nas_drivers"))
        connection.execute(sa.text("UPDATE nas_schema SET version = 1"))
    with Store.open(url) as read:
        assert read.trials("run", choices=CHOICES) == [trial(0)]
        assert read.drivers.of("run") is None
    with Store.create(url) as written:
        written.drivers.claim("run", Driver(), lambda _: None)
        assert written.trials("run", choices=CHOICES) == [trial(0)]
    with Store.open(url) as read:
        assert read.drivers.of("run") is not None


def test_a_damaged_row_of_a_driver_is_named(store: Store) -> None:
    store.drivers.claim("run", Driver(), lambda _: None)
    with store._engine.begin() as connection:
        connection.execute(sa.text("UPDATE nas_drivers SET under_way = '[1]'"))
    with pytest.raises(StoreError, match=r"driver's row of run run is damaged .*delete that row from nas_drivers"):
        store.drivers.of("run")


def test_what_is_under_way_is_a_frame_and_a_few_lines() -> None:
    trials = (UnderWay("evolution", 3, "abc", 2.0), UnderWay("evolution", 4, "def", 1.0))
    alive = Driver(stage="explore", under_way=trials, age=0.1)
    frame = running_frame(alive)
    assert list(frame["number"]) == [3, 4]
    assert list(frame["seconds"]) == [2.1, 1.1]
    assert not frame["stale"].any()
    assert _running(alive)[1:] == [
        "under way      evolution 3, abc, for 2.1 s",
        "under way      evolution 4, def, for 1.1 s",
    ]
    dead = Driver(stage="base", age=90, under_way=trials[:1], **ELSEWHERE)
    assert running_frame(dead)["stale"].all()
    assert "stale, last sign of life 1 min 30 s ago" in _running(dead)[0]
    assert _running(dead)[1].endswith("will be measured again")
    training, nobody = running_frame(Driver(stage="base")), running_frame(None)
    assert (len(training), len(nobody)) == (1, 0)
    assert training["number"].isna().all()
    assert {str(dtypes) for dtypes in (training.dtypes.to_dict(), nobody.dtypes.to_dict())} == {
        str(frame.dtypes.to_dict())
    }
    assert list(frame) == list(RUNNING)
