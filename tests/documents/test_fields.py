"""Markers are found wherever they stand: in nested options, unions, lists and plug-ins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest

from nas import importance, search, tasks
from nas.documents.document import read
from nas.documents.fields import marked
from nas.documents.lookup import Lookup
from nas.documents.markers import DatabaseUrl, FilePath, JournalOrUrl, MayChange, Plugged, RunPath
from nas.documents.plugged import plugin_of, read_plugin
from nas.errors import ConfigError, StoreError
from nas.training import rules

COLOURS: dict[str, type[Any]] = {}
COLOUR = Plugged("colour", lambda: sorted(COLOURS), COLOURS.__getitem__)


@dataclass(frozen=True, kw_only=True)
class Plain:
    shade: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Mixed:
    recipe: Annotated[str, FilePath()]
    parts: Annotated[str | dict[str, Any], COLOUR] | Sequence[Annotated[str | dict[str, Any], COLOUR]] = "plain"


COLOURS |= {"plain": Plain, "mixed": Mixed}


@dataclass(frozen=True)
class Shelf:
    url: Annotated[str, DatabaseUrl(), MayChange()] | None = None
    runs: tuple[Annotated[str, RunPath()], ...] = ()


@dataclass(frozen=True)
class Room:
    wall: Annotated[str | dict[str, Any], COLOUR] = "plain"
    shelf: Shelf | None = field(default_factory=Shelf)


def found(data: Any) -> list[tuple[str, str]]:
    return [(".".join(map(str, path)), type(marker).__name__) for path, marker in marked(Room, data)]


def test_markers_of_nested_options_and_of_list_items() -> None:
    assert found({}) == [("wall", "Plugged"), ("shelf.url", "DatabaseUrl"), ("shelf.url", "MayChange")]
    assert found({"shelf": {"runs": ["a", "b"]}})[3:] == [
        ("shelf.runs.0", "RunPath"), ("shelf.runs.1", "RunPath")
    ]  # fmt: skip


def test_markers_of_plug_ins_follow_once_it_is_known_which() -> None:
    wall = {"use": "mixed", "parts": ["plain", {"use": "mixed", "recipe": "b"}]}
    paths = [path for path, _ in found({"wall": wall}) if path.startswith("wall")]
    assert paths == ["wall", "wall.recipe", "wall.parts", "wall.parts.0", "wall.parts.1",
                     "wall.parts.1.recipe", "wall.parts.1.parts"]  # fmt: skip
    assert [path for path, _ in found({"wall": {"use": "nosuch"}}) if path.startswith("wall")] == ["wall"]


@pytest.mark.parametrize("wrong", [None, 3, [1], {"wall": 3, "shelf": [4]}, {"shelf": {"runs": {"a": 1}}}])
def test_data_of_the_wrong_form_are_walked_all_the_same(wrong: Any) -> None:
    assert ("wall", "Plugged") in found(wrong)


@pytest.mark.parametrize("folder", [importance, rules, search, tasks])
def test_the_fields_of_every_plug_in_can_be_walked(folder: Any) -> None:
    kinds = search.installed().values() if folder is search else map(folder.find, folder.names())
    for kind in kinds:
        assert isinstance(list(marked(kind, {})), list)


def test_faults_of_plug_ins_in_plug_ins_lie_at_their_own_keys() -> None:
    document = read("wall:\n  use: mixed\n  parts:\n  - {use: plain, shade: dark}\n  - {use: plian}\n")
    made, faults = read_plugin(document, ("wall",), COLOUR)
    assert made is None
    assert [(fault.where, fault.key) for fault in faults] == [
        ("<text>:1:1", "wall.recipe"), ("<text>:4:18", "wall.parts.0.shade"), ("<text>:5:6", "wall.parts.1.use"),
    ]  # fmt: skip
    assert "did you mean 'plain'?" in faults[2].allowed


def test_plug_ins_are_made_of_python_values_too() -> None:
    assert plugin_of("plain", COLOUR) == Plain()
    assert plugin_of({"use": "plain", "shade": 1}, COLOUR) == Plain(shade=1)
    with pytest.raises(ConfigError, match=r"colour 'plain': shade: found 'x'; allowed: a number"):
        plugin_of({"use": "plain", "shade": "x"}, COLOUR)
    with pytest.raises(ConfigError, match="use: found nothing; allowed: mixed, plain"):
        plugin_of({}, COLOUR)


def test_a_file_is_looked_up_and_a_server_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    lookup = Lookup(Path("a"))
    assert DatabaseUrl().locate("sqlite:///rel.db", lookup) == f"sqlite:///{tmp_path}/rel.db"
    assert JournalOrUrl().locate("rel.log", lookup) == f"{tmp_path}/rel.log"
    assert RunPath().locate("run", lookup) == f"{tmp_path}/run"
    assert FilePath().locate("rel.db", lookup) is None
    assert FilePath(must_exist=False).locate("rel.db", lookup) == "rel.db"
    for name in ("rel.db", "rel.log"):
        (tmp_path / "a" / name).touch()
    assert DatabaseUrl().locate("sqlite:///rel.db", lookup) == f"sqlite:///{tmp_path}/a/rel.db"
    assert JournalOrUrl().locate("sqlite:///rel.db", lookup) == f"sqlite:///{tmp_path}/a/rel.db"
    assert JournalOrUrl().locate("rel.log", lookup) == FilePath().locate("rel.log", lookup) == f"{tmp_path}/a/rel.log"
    assert DatabaseUrl().locate("postgresql://me:${PW}@host/x", lookup) == "postgresql://me:${PW}@host/x"
    for url in ("sqlite://", "sqlite:///:memory:"):
        with pytest.raises(StoreError, match=r"in memory, .* the URL of a file"):
            DatabaseUrl().locate(url, lookup)
