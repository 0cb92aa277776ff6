"""The one writer of files: no link that somebody left is followed, whatever its name."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nas.system.files import (
    OWNER,
    STALE,
    drop_partial,
    first_link,
    open_lock,
    replace_file,
    replacing,
    replacing_folder,
)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim.txt"
    path.write_text("precious")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    path.mkdir()
    return path


def test_a_link_that_waits_for_the_writer_is_not_followed(
    victim: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither under the names that former versions used, nor under the right one, were it guessed."""
    (folder / ".results.csv.partial").symlink_to(victim)
    replace_file(folder / "results.csv", b"new")
    assert (folder / "results.csv").read_text() == "new"
    guessed = folder / ".results.csv.guessed.partial"
    guessed.symlink_to(victim)
    monkeypatch.setattr("nas.system.files._beside", lambda _: guessed)
    with pytest.raises(FileExistsError):
        replace_file(folder / "results.csv", b"newer")
    assert victim.read_text() == "precious"


def test_a_link_in_the_place_of_a_file_is_replaced(victim: Path, folder: Path) -> None:
    (folder / "results.csv").symlink_to(victim)
    replace_file(folder / "results.csv", b"new")
    assert not (folder / "results.csv").is_symlink()
    assert (victim.read_text(), (folder / "results.csv").read_text()) == ("precious", "new")


def test_two_writers_have_places_of_their_own(folder: Path) -> None:
    with replacing(folder / "a") as one, replacing(folder / "a") as other:
        one.write_text("one")
        other.write_text("other")
    assert sorted(path.name for path in folder.iterdir()) == ["a"]


def test_only_the_owner_reads_what_is_said_to_be_theirs(folder: Path) -> None:
    replace_file(folder / "study.yaml", b"seed: 1", OWNER)
    assert (folder / "study.yaml").stat().st_mode & 0o777 == 0o600


def test_what_a_killed_writer_left_goes_when_it_is_old(victim: Path, folder: Path) -> None:
    old, fresh, link = (folder / f".a.{word}.partial" for word in ("old", "fresh", "link"))
    old.mkdir()
    (old / "inner").write_text("left")
    fresh.write_text("another writer's")
    link.symlink_to(victim)
    then = time.time() - 2 * STALE
    os.utime(old, (then, then))
    os.utime(link, (then, then), follow_symlinks=False)
    with replacing_folder(folder / "a") as partial:
        (partial / "b").write_text("whole")
    assert sorted(path.name for path in folder.iterdir()) == [".a.fresh.partial", "a"]
    assert victim.exists()


def test_what_killed_writers_left_goes_at_once_where_nobody_else_writes(victim: Path, folder: Path) -> None:
    (folder / "inner").mkdir()
    for place in (folder, folder / "inner"):
        for name in ("mine.partial", ".hidden", ".a.json.0123456789abcdef.partial"):
            (place / name).write_text("x")
    killed = folder / ".winner.00112233445566ff.partial"
    killed.mkdir()
    (killed / "model.safetensors").write_text("half")
    (folder / ".b.0123456789abcdef.partial").symlink_to(victim)
    (folder / "elsewhere").symlink_to(victim.parent)
    drop_partial(folder)
    left = sorted(path.name for path in (*folder.iterdir(), *(folder / "inner").iterdir()))
    assert left == [".hidden", ".hidden", "elsewhere", "inner", "mine.partial", "mine.partial"]
    assert victim.exists()


def test_a_lock_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "made-by-us")
    with pytest.raises(OSError, match=r"symbolic links"):
        open_lock(tmp_path / "lock")
    assert not (tmp_path / "made-by-us").exists()


def test_links_are_found_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").touch()
    assert first_link(tmp_path) is None
    assert first_link(tmp_path / "nosuch") is None
    (tmp_path / "a" / "b" / "c").symlink_to("nowhere")
    assert first_link(tmp_path) == tmp_path / "a" / "b" / "c"
    assert first_link(tmp_path / "a" / "b" / "c") == tmp_path / "a" / "b" / "c"
