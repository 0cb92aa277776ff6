"""Spelling out: what a study names is put in its place, before anything is checked.

What is written as a name (`strategy: uniform`) or as a preset's file (`strategy: strategies/nsga2.yaml`) becomes a
mapping with `use:`, and only then do options such as `--set strategy.trials=50` change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.documents.document import Document, read
from nas.documents.fields import marked
from nas.documents.lookup import Lookup
from nas.documents.markers import FileOrMapping, Marker, Plugged
from nas.documents.plugged import as_mapping
from nas.documents.text import KeyPath
from nas.errors import ConfigError
from nas.ready_made import known, named
from nas.studies.file.config import StudyConfig

SUFFIXES = (".yaml", ".yml")


def overridden(document: Document, overrides: Mapping[str, str], lookup: Lookup) -> Document:
    """The study spelt out, and changed by overrides. Raises `ConfigError` for a file that is missing or no mapping.

    Overrides are applied from the shortest key to the longest, so that a preset is in place before its options change.
    """
    document = _spelt_out(document, lookup)
    for depth in sorted({key.count(".") for key in overrides}):
        document = document.override({key: text for key, text in overrides.items() if key.count(".") == depth})
        document = _spelt_out(document, lookup)
    return document


def _spelt_out(document: Document, lookup: Lookup) -> Document:
    # One at a time, since what a preset brings may name presets in its own fields.
    while (next_one := _unspelt(document)) is not None:
        document = _spelt(document, *next_one, lookup)
    return document


def _unspelt(document: Document) -> tuple[KeyPath, FileOrMapping | Plugged[Any]] | None:
    """The first value that names what should stand in its place."""
    for path, marker in marked(StudyConfig, document.data):
        value = document.get(path)
        if isinstance(marker, FileOrMapping | Plugged) and isinstance(value, str):
            return path, marker
        if isinstance(marker, Plugged) and isinstance(value, dict) and _is_preset(value.get("use"), marker):
            return path, marker
    return None


def _spelt(document: Document, path: KeyPath, marker: Marker, lookup: Lookup) -> Document:
    value = document.get(path)
    if isinstance(marker, FileOrMapping):
        file = lookup.find(str(value)) or named(str(value), "searchspaces")
        return _laid_under(document, path, {}, file or _file(document, path, str(value), lookup))
    if isinstance(value, str):
        return document.replaced(path, as_mapping(value))
    assert isinstance(marker, Plugged)
    assert isinstance(value, dict)
    use = value["use"]
    preset = marker.presets().get(use) or _file(document, (*path, "use"), use, lookup)
    # Our own keys stand, the preset's are laid under them: `use:` is the preset's, its title ours if we have one.
    title = {"name": preset.stem} if marker.titled else {}
    return _laid_under(document, path, title | {key: own for key, own in value.items() if key != "use"}, preset)


def _laid_under(document: Document, path: KeyPath, own: dict[str, Any], file: Path) -> Document:
    """The keys of a file under those of our own."""
    preset = read(file)
    if not isinstance(preset.data, dict):
        raise ConfigError([preset.fault((), "no mapping", "a mapping")])
    if _is_file(preset.data.get("use")):
        raise ConfigError([preset.fault(("use",), f"'{preset.data['use']}'", "a name: presets name no other presets")])
    return document.replaced(path, own).under(preset, path)


def _is_preset(use: object, marker: Plugged[Any]) -> bool:
    return _is_file(use) or (isinstance(use, str) and use in marker.presets())


def _is_file(use: object) -> bool:
    return isinstance(use, str) and use.endswith(SUFFIXES)


def _file(document: Document, path: KeyPath, text: str, lookup: Lookup) -> Path:
    file = lookup.find(text)
    if file is None:
        allowed = "a file, looked up from the working directory, the study's folder and the folder above it"
        if path == ("space",):
            allowed += f"; or {known(text, 'searchspaces')}"
        raise ConfigError([document.fault(path, f"'{text}', which does not exist", allowed)])
    return file
