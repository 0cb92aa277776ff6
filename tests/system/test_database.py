"""URLs of databases: files whose names mean something in a URL, and passwords that are not in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from nas.errors import StoreError
from nas.system.database import check_password, connect, filled, host, located, sqlite_path, sqlite_url


@pytest.mark.parametrize("name", ["50%base", "q?a=b", "100%41", "a#b", "file:x", "plain", "ü b", "a&b;c"])
def test_a_file_is_found_again_whatever_its_folder_is_called(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for url in (sqlite_url(folder / "t.sqlite"), located("sqlite:///rel.db?timeout=5", folder / "t.sqlite")):
        assert sqlite_path(url) == folder / "t.sqlite"
        assert host(url) is None
        engine = connect(url, write=True)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS kept (a int)")
        engine.dispose()
        engine = connect(url, write=False)
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM kept").scalar() == 0
        engine.dispose()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [path.name for path in folder.iterdir()] == ["t.sqlite"]


def test_hosts() -> None:
    assert host("postgresql://me@db.example:5432/x") == "db.example:5432"
    assert host("postgresql://me@db.example/x") == "db.example"
    assert host("postgresql:///x") == "localhost"
    assert host("postgresql:///x?host=/var/run") == "/var/run"


@pytest.mark.parametrize("url", ["postgresql://me:s3cret@host/x", "postgresql://host/x?sslpassword=s3cret",
                                 "mysql://host/x?passwd=s3cret", "postgresql://me:s3cret${NAME}@host/x"])  # fmt: skip
def test_a_password_is_not_written_in_a_study(url: str) -> None:
    with pytest.raises(StoreError, match=r"found a password; allowed: no password in the URL: \$\{NAME\}") as caught:
        check_password(url)
    assert "s3cret" not in str(caught.value)


def test_a_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://me:${NAS_TEST_PW}@host/x?sslpassword=${NAS_TEST_PW}"
    check_password(url)
    with pytest.raises(StoreError, match="to come from the environment, but NAS_TEST_PW is not set"):
        filled(url)
    monkeypatch.setenv("NAS_TEST_PW", "s@/:& 1")
    parsed = sa.make_url(filled(url))
    assert (parsed.password, parsed.query["sslpassword"]) == ("s@/:& 1", "s@/:& 1")


@pytest.mark.parametrize("url", ["postgresql://me:pa@ss:s3cret@host/x", "nosuch://me:s3cret@host", "me:s3cret@host",
                                 "postgresql:/me:s3cret@host", "postgresql://me:my s3cret@host:port/x"])  # fmt: skip
def test_a_url_that_means_nothing_shows_no_password(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        connect(url, write=True)
    assert "cret" not in str(caught.value)
