"""What was remembered comes back as it was, and nothing that is damaged, foreign or out of place comes back at all."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from nas.system import user_cache

ABOUT = {"model": "m", "version": "1", "sizes": [1, 2]}


@dataclass(frozen=True)
class Fact:
    """A fact."""

    sizes: Mapping[str, int]
    words: tuple[str, ...]
    set: frozenset[str]


FACT = Fact({"b": 2, "a": 1}, ("x", "y"), frozenset({"p", "q"}))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "nas"


def test_what_was_remembered_comes_back_in_its_order() -> None:
    assert user_cache.recall(Fact, ABOUT) is None
    user_cache.remember(FACT, ABOUT)
    fact = user_cache.recall(Fact, ABOUT)
    assert fact == FACT
    assert list(fact.sizes) == ["b", "a"]


@pytest.mark.parametrize("other", [{"version": "2"}, {"sizes": [1]}, {"more": None}])
def test_what_is_known_of_one_thing_is_not_known_of_another(other: dict[str, object]) -> None:
    user_cache.remember(FACT, ABOUT)
    assert user_cache.recall(Fact, {**ABOUT, **other}) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b'{"about": {}, "value": {}}',
        json.dumps({"about": ABOUT, "value": {"sizes": {"a": "1"}, "words": [], "set": []}}).encode(),
        json.dumps({"about": ABOUT, "value": {"sizes": {"a": 1}, "words": []}}).encode(),
        json.dumps({"about": {**ABOUT, "model": "n"}, "value": {"sizes": {}, "words": [], "set": []}}).encode(),
        b"[" * 100_000,
        pickle.dumps(FACT),
    ],
    ids=["empty", "no text", "a list", "of nothing", "another type", "a key less", "another model", "deep", "a pickle"],
)
def test_a_damaged_or_foreign_file_counts_as_none_and_is_replaced(folder: Path, content: bytes) -> None:
    user_cache.remember(FACT, ABOUT)
    (file,) = folder.iterdir()
    file.write_bytes(content)
    assert user_cache.recall(Fact, ABOUT) is None
    user_cache.remember(FACT, ABOUT)
    assert user_cache.recall(Fact, ABOUT) == FACT


def test_a_folder_that_cannot_be_made_is_no_cache(folder: Path) -> None:
    folder.write_text("a file is in the way")
    user_cache.remember(FACT, ABOUT)
    assert user_cache.recall(Fact, ABOUT) is None


def test_what_is_no_json_is_not_remembered(folder: Path) -> None:
    user_cache.remember(FACT, {"model_args": {"norm_layer": int}})
    assert user_cache.recall(Fact, {"model_args": {"norm_layer": int}}) is None
    assert not folder.exists()


def test_a_relative_folder_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    user_cache.remember(FACT, ABOUT)
    assert not Path("here").exists()
    assert len(list((tmp_path / "home" / ".cache" / "nas").iterdir())) == 1
