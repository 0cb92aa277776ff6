from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from studies_fakes import trial

from nas.errors import StoreError
from nas.studies.store import Store, sqlite_url


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_url(tmp_path / "trials.sqlite")


def test_trials_come_back_as_they_were_recorded(url: str) -> None:
    trials = [trial(0), trial(1, accuracy=None), trial(2, cached=True)]
    with Store.create(url) as store:
        for one in trials:
            store.record("run", one)
    with Store.open(url) as store:
        assert store.trials("run") == trials


def test_runs_and_strategies_share_a_table_but_not_their_trials(url: str) -> None:
    with Store.create(url) as store:
        store.record("a", trial(0))
        store.record("a", trial(0, strategy="uniform"))
        store.record("b", trial(0))
        assert [t.strategy for t in store.trials("a")] == ["evolution", "uniform"]
        assert len(store.trials("a", "uniform")) == 1
        store.clear("a")
        assert store.trials("a") == []
        assert len(store.trials("b")) == 1


def test_a_trial_is_recorded_once(url: str) -> None:
    with Store.create(url) as store:
        store.record("run", trial(0))
        with pytest.raises(StoreError, match="in the table already"):
            store.record("run", trial(0, accuracy=0.9))
        assert store.trials("run") == [trial(0)]


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
        assert len(store.trials("run")) == 1


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
    with pytest.raises(StoreError, match=r"not a table of trials of nas .it holds recipes"):
        Store.create(url)


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
    with Store.open(url) as store:
        done = len(store.trials("run"))
        assert [t.number for t in store.trials("run")] == list(range(done))
        assert 0 < done < 1000
        store.record("run", trial(done))


@pytest.mark.parametrize("url", ["nonsense", "nosuchdb://host/name"])
def test_an_url_that_means_nothing_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="allowed: a URL such as"):
        Store.create(url)
