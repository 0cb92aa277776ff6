from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sqlite3
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from studies_fakes import make_and_die, trial

from nas.errors import StoreError
from nas.studies.store.store import Store
from nas.system.database import sqlite_url

CHOICES = {"heads.0": [1, 2], "mlp.0": [0.25, 0.5]}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_url(tmp_path / "trials.sqlite")


def test_trials_come_back_as_they_were_recorded(url: str) -> None:
    trials = [trial(0), trial(1, accuracy=None), trial(2, cached=True)]
    with Store.create(url) as store:
        for one in trials:
            store.record("run", one)
    with Store.open(url) as store:
        assert store.trials("run", choices=CHOICES) == trials


def test_runs_and_strategies_share_a_table_but_not_their_trials(url: str) -> None:
    with Store.create(url) as store:
        store.record("a", trial(0))
        store.record("a", trial(0, strategy="uniform"))
        store.record("b", trial(0))
        assert [t.strategy for t in store.trials("a", choices=CHOICES)] == ["evolution", "uniform"]
        assert len(store.trials("a", "uniform", choices=CHOICES)) == 1
        store.clear("a")
        assert store.trials("a", choices=CHOICES) == []
        assert len(store.trials("b", choices=CHOICES)) == 1


def test_a_trial_is_recorded_once(url: str) -> None:
    with Store.create(url) as store:
        store.record("run", trial(0))
        with pytest.raises(StoreError, match="in the table already"):
            store.record("run", trial(0, accuracy=0.9))
        assert store.trials("run", choices=CHOICES) == [trial(0)]


def test_each_trial_is_one_transaction_that_reaches_the_disk(url: str) -> None:
    statements: list[str] = []
    with Store.create(url) as store:
        engine = store._engine
        sa.event.listen(engine, "before_cursor_execute", lambda _c, _k, text, *_: statements.append(text))
        sa.event.listen(engine, "commit", lambda _c: statements.append("COMMIT"))
        store.record("run", trial(0))
        with engine.connect() as connection:
            assert connection.execute(sa.text("PRAGMA synchronous")).scalar() == 2
            assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
    assert [text.split()[0] for text in statements[:2]] == ["INSERT", "COMMIT"]


def test_making_a_store_again_keeps_what_is_in_it(url: str) -> None:
    with Store.create(url) as store:
        store.record("run", trial(0))
    with Store.create(url) as store:
        assert len(store.trials("run", choices=CHOICES)) == 1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_a_file_cut_short_is_refused(tmp_path: Path, url: str, share: float) -> None:
    path = tmp_path / "trials.sqlite"
    with Store.create(url) as store:
        for number in range(200):
            store.record("run", trial(number))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(StoreError, match=r"trials\.sqlite.*(delete it|restore it)"):
        Store.open(url)


def test_a_missing_file_is_not_replaced_by_an_empty_one(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreError, match="is missing"):
        Store.open(url)
    assert not (tmp_path / "trials.sqlite").exists()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path, url: str) -> None:
    (tmp_path / "trials.sqlite").write_text("these are my holiday notes\n" * 200)
    for opened in (Store.open, Store.create):
        with pytest.raises(StoreError, match="not a database"):
            opened(url)
    assert (tmp_path / "trials.sqlite").read_text().startswith("these are my holiday notes")


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path, url: str) -> None:
    with sqlite3.connect(tmp_path / "trials.sqlite") as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()
    before = (tmp_path / "trials.sqlite").read_bytes()
    with pytest.raises(StoreError, match=r"not a table of trials of nas .it holds recipes"):
        Store.create(url)
    assert (tmp_path / "trials.sqlite").read_bytes() == before


def test_another_schema_version_is_refused(url: str) -> None:
    with Store.create(url) as store, store._engine.begin() as connection:
        connection.execute(sa.text("UPDATE nas_schema SET version = 99"))
    with pytest.raises(StoreError, match="schema version 99"):
        Store.open(url)


def test_a_full_disk_loses_nothing_and_the_run_goes_on_later(url: str) -> None:
    with Store.create(url) as store:
        pool = store._engine
        sa.event.listen(pool, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 12").close())
        pool.dispose()

        def fill() -> None:
            for number in range(1000):
                store.record("run", trial(number))

        with pytest.raises(StoreError, match=r"full; free some space and run the same command again"):
            fill()
    with Store.create(url) as store:
        done = len(store.trials("run", choices=CHOICES))
        assert [t.number for t in store.trials("run", choices=CHOICES)] == list(range(done))
        assert 0 < done < 1000
        store.record("run", trial(done))


@pytest.mark.parametrize("url", ["nonsense", "nosuchdb://host/name"])
def test_an_url_that_means_nothing_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="allowed: a URL such as"):
        Store.create(url)


@pytest.mark.parametrize("statements", [1, 2, 3])
def test_a_store_whose_making_was_killed_is_completed(url: str, statements: int) -> None:
    process = multiprocessing.get_context("fork").Process(target=make_and_die, args=(url, statements))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with Store.create(url) as store:
        store.record("run", trial(0))
    with Store.open(url) as store:
        assert store.trials("run", choices=CHOICES) == [trial(0)]


def test_reading_writes_nothing_and_leaves_nothing_beside_the_file(tmp_path: Path, url: str) -> None:
    with Store.create(url) as store:
        store.record("run", trial(0))
    before = (tmp_path / "trials.sqlite").read_bytes()
    with Store.open(url) as store:
        assert store.trials("run", choices=CHOICES) == [trial(0)]
        with pytest.raises(StoreError, match="readonly"):
            store.clear("run")
    assert (tmp_path / "trials.sqlite").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["trials.sqlite"]


def test_a_store_on_read_only_media_is_read(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.create(url) as store:
        store.record("run", trial(0))
    (tmp_path / "trials.sqlite-wal").touch()  # as a reader of the file may have left it
    monkeypatch.setattr(os, "access", lambda *_: False)
    with Store.open(url) as store:
        assert store.trials("run", choices=CHOICES) == [trial(0)]
        assert not (tmp_path / "trials.sqlite-shm").exists()  # there it could not be made


def test_what_a_killed_writer_left_beside_the_file_is_read(tmp_path: Path, url: str) -> None:
    with Store.create(url) as store:
        store.record("run", trial(0))
        for path in tmp_path.iterdir():
            (tmp_path / "copy").mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / "copy" / path.name)
    with Store.open(sqlite_url(tmp_path / "copy" / "trials.sqlite")) as store:
        assert store.trials("run", choices=CHOICES) == [trial(0)]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("metrics", "[1]"), ("metrics", "{"), ("costs", "{}"), ("notes", "1"), ("state", "well"), ("number", "x"),
        ("architecture", "junk"), ("architecture", '{"heads.0": 2}'), ("digest", "0"), ("seconds", "long"),
    ],
)  # fmt: skip
def test_a_damaged_row_is_refused_with_the_file_and_the_remedy(url: str, column: str, value: str) -> None:
    with Store.create(url) as store:
        store.record("run", trial(0))
        with store._engine.begin() as connection:
            connection.execute(sa.text(f"UPDATE nas_trials SET {column} = :value"), {"value": value})
        with pytest.raises(StoreError, match=r"trials\.sqlite: a row of run run is damaged \(.*restore it") as caught:
            store.trials("run", choices=CHOICES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "choices", [{"heads.0": [1, 2]}, {"heads.0": [1], "rank": [4]}, {"heads.0": [2], "mlp.0": [1]}]
)
def test_a_row_of_another_space_is_refused(url: str, choices: dict[str, list[int]]) -> None:
    with Store.create(url) as store:
        store.record("run", trial(0))
        with pytest.raises(StoreError, match="trial 0: an architecture of another search space"):
            store.trials("run", choices=choices)


def test_a_password_is_never_printed() -> None:
    for url in ("nosuchdb://me:s3cret@host/name", "postgresql://me:s3@cret@host:port/name", "mysql+oursql://u:s3@h/x"):
        with pytest.raises(StoreError) as caught:
            Store.create(url)
        assert "s3" not in str(caught.value)
        assert ":***@h" in str(caught.value)


def test_a_missing_driver_is_named_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(StoreError, match=r"me:\*\*\*@host/name' needs .* pip install psycopg2-binary"):
        Store.create("postgresql+psycopg2://me:s3cret@host/name")


def test_the_trials_of_one_strategy_can_be_deleted(url: str) -> None:
    with Store.create(url) as store:
        for strategy in ("dan", "uniform"):
            store.record("run", trial(0, strategy=strategy))
        store.record("other", trial(0, strategy="dan"))
        store.clear("run", "dan")
        assert [t.strategy for t in store.trials("run", choices=CHOICES)] == ["uniform"]
        assert len(store.trials("other", choices=CHOICES)) == 1
