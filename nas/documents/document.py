"""YAML files with the place of every key, read into frozen dataclasses; every fault of a file is reported at once.

`read` gives a `Document`: plain data, and for every key the place it came from. Documents can be changed (`--set
a.b=c`) and laid over one another (a preset under the keys of a study) without losing these places. `parse` turns a
document, or a part of it, into a dataclass, strictly: no unknown keys, no text where a number belongs. YAML 1.2:
0.9e9 and 5e-4 are numbers, `on` is text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, final

from pydantic import TypeAdapter, ValidationError

from nas.documents.mistakes import NOTHING, faults_of, shown
from nas.documents.text import LARGEST, TOO_LARGE, KeyPath, Plain, cut, dotted, load
from nas.errors import ConfigError, Fault, NasError

T = TypeVar("T")
TEXT = "<text>"
"""What a document that is no file is called."""
_ALLOWED = "the path of a YAML file, or YAML text"


@final
@dataclass(frozen=True)
class Document:
    """Plain data, where each part of it came from, and what was already found wrong with it."""

    name: str
    """The file, `<text>`, or the option that the data came from."""
    data: Plain
    places: Mapping[KeyPath, str]
    """Path of a key or list item -> `file:line:column`, or the option that set it."""
    faults: tuple[Fault, ...] = ()
    """Faults of the text itself, such as duplicate keys; `parse` reports them with its own."""

    def where(self, path: KeyPath) -> str:
        """The place of a path, or of the nearest key above that was written down."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
        return self.name

    def fault(self, path: KeyPath, found: str, allowed: str) -> Fault:
        """A fault of the value at a path."""
        return Fault(self.where(path), dotted(path), found, allowed)

    def refused(self, path: KeyPath, error: NasError, allowed: str = "") -> Fault:
        """The fault of the value at a path that an error refuses; `allowed`, unless the error says it by itself."""
        found, _, better = str(error).partition("; allowed: ")
        return self.fault(path, found, better or allowed)

    def get(self, path: KeyPath) -> Plain:
        """The value at a path, None when there is none."""
        value: Any = self.data
        for step in path:
            inside = step in value if isinstance(value, dict) else isinstance(value, list) and step in range(len(value))
            if not inside:
                return None
            value = value[step]
        return value  # type: ignore[no-any-return]

    def replaced(self, path: KeyPath, value: Plain) -> Document:
        """The document with another value at a path. What was written there keeps its place."""
        data, _ = _put(self.data, list(map(str, path)), value)
        return replace(self, data=data)

    def override(self, settings: Mapping[str, str]) -> Document:
        """The document with values replaced or added: dotted key -> YAML text, as `--set a.b=c` gives them.

        Faults of these values lie at `--set a.b`. Raises ConfigError when a key leads into what is no mapping and no
        list.
        """
        document = self
        faults: list[Fault] = []
        for key, text in settings.items():
            option = f"--set {key}"
            loaded = load(text, partial(_same, option))
            faults += loaded.faults
            try:
                data, path = _put(document.data, key.split("."), loaded.data)
            except _NoWayError as fault:
                faults.append(Fault(option, key, *fault.args))
                continue
            # What lay at the key is gone with its places; the keys on the way to it, if new, come from the option too.
            places = {p: w for p, w in document.places.items() if p[: len(path)] != path}
            places |= {(*path, *inner): option for inner in loaded.places} | {path: option}
            places = {path[:end]: option for end in range(1, len(path))} | places
            document = replace(document, data=data, places=places)
        if faults:
            raise ConfigError(faults)
        return document

    def under(self, preset: Document, at: KeyPath = ()) -> Document:
        """This document with the keys of `preset` laid under its own at the path `at`, which must be a mapping or
        absent.

        Mappings are merged key by key; of everything else, this document's value stands. Every key keeps the place it
        was written at.
        """
        own = self.get(at)
        assert own is None or isinstance(own, dict), f"{dotted(at)} is no mapping"
        data, _ = _put(self.data, list(map(str, at)), _merged(preset.data, own))
        # A preset's key is seen unless this document has a value at it, or above it, that is no mapping.
        hidden = {path for path in self.places if not isinstance(self.get(path), dict)}
        below = {(*at, *path): place for path, place in preset.places.items()}
        seen = {p: w for p, w in below.items() if not any(p[:end] in hidden for end in range(len(p) + 1))}
        return replace(self, data=data, places={**seen, **self.places}, faults=(*self.faults, *preset.faults))


def read(path_or_text: str | Path) -> Document:
    """Reads a file, or a text: a `str` that has several lines, or that begins with a brace, is text, and is called
    `<text>`.

    Raises ConfigError when it is neither, when there is no such file, when it cannot be read, or when it is no YAML.
    """
    if not isinstance(path_or_text, str | PathLike):
        raise ConfigError([Fault("YAML", "", cut(repr(path_or_text)), _ALLOWED)])
    if isinstance(path_or_text, str) and ("\n" in path_or_text or path_or_text.lstrip().startswith("{")):
        name, text = TEXT, path_or_text
    else:
        name, text = str(path_or_text), _contents(Path(path_or_text))
    loaded = load(text, lambda line, column: f"{name}:{line + 1}:{column + 1}")
    if loaded.data is None and loaded.faults:
        raise ConfigError(loaded.faults)
    return Document(name, loaded.data, loaded.places, tuple(loaded.faults))


def parse(document: Document, kind: type[T], at: KeyPath = ()) -> T:
    """The document, or the part of it at the path `at`, as a `kind`: a dataclass whose fields are the allowed keys.

    Raises ConfigError with every fault of that part and of the text.
    """
    value, faults = attempt(document, kind, at)
    if faults or document.faults:
        raise ConfigError(in_order([*document.faults, *faults]))
    assert value is not None
    return value


def attempt(document: Document, kind: type[T], at: KeyPath = ()) -> tuple[T | None, list[Fault]]:
    """As `parse`, but returns the faults of that part, for callers that have more to check before they raise.

    What could not be read as YAML, and is a fault of the document, is not found missing as well.
    """
    data = document.get(at)
    adapter: TypeAdapter[T] = _adapter(kind)  # type: ignore[arg-type]  # classes are hashable
    try:
        # JSON, because it knows one kind of sequence: there a YAML list is right for a tuple, and strictness means
        # types alone.
        return adapter.validate_json(json.dumps(data), strict=True, extra="forbid"), []
    except ValidationError as error:
        reported = {fault.key for fault in document.faults}
        wrong = faults_of(error, adapter, data, at, document.where)
        return None, [fault for fault in wrong if fault.found != NOTHING or fault.key not in reported]


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Faults file by file, in the order of their lines; those of options come last."""

    def place(fault: Fault) -> tuple[bool, str, int, int]:
        match = re.fullmatch(r"(.*):(\d+):(\d+)", fault.where)
        return (False, match[1], int(match[2]), int(match[3])) if match else (True, "", 0, 0)

    return sorted(faults, key=place)


@lru_cache(maxsize=256)
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _same(place: str, _line: int, _column: int) -> str:
    return place


def _contents(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ConfigError([Fault(str(path), "", *TOO_LARGE)])
        return content.decode("utf-8")
    except FileNotFoundError:
        raise ConfigError([Fault(str(path), "", "no such file", _ALLOWED)]) from None
    except UnicodeDecodeError as fault:
        raise ConfigError([Fault(str(path), "", f"bytes that are not UTF-8 ({fault.reason})", "YAML text")]) from fault
    except ValueError as fault:
        raise ConfigError([Fault(repr(str(path)), "", str(fault), _ALLOWED)]) from fault
    except OSError as fault:
        raise ConfigError([Fault(str(path), "", fault.strerror or str(fault), "a file that can be read")]) from fault


class _NoWayError(Exception):
    """A key that leads into something that is neither a mapping nor a list: found, allowed."""


def _put(data: Plain, keys: Sequence[str], value: Plain, above: KeyPath = ()) -> tuple[Plain, KeyPath]:
    """`data` with `value` at `keys`, mappings made on the way where there is nothing, and the path that the keys
    mean.
    """
    if not keys:
        return value, above
    # Nothing is changed in place: documents share the parts that stay as they are.
    key, rest = keys[0], keys[1:]
    if isinstance(data, list):
        if not key.isdigit() or int(key) >= len(data):
            raise _NoWayError(f"'{key}' in the list {dotted(above)}", f"a position from 0 to {len(data) - 1}")
        inner, path = _put(data[int(key)], rest, value, (*above, int(key)))
        return [*data[: int(key)], inner, *data[int(key) + 1 :]], path
    if not isinstance(data, dict | None):
        raise _NoWayError(f"'{key}' inside {shown(data)}", f"a mapping at {dotted(above)}")
    inner, path = _put((data or {}).get(key), rest, value, (*above, key))
    return {**(data or {}), key: inner}, path


def _merged(low: Plain, high: Plain) -> Plain:
    """`high` laid over `low`."""
    if isinstance(low, dict) and isinstance(high, dict):
        return {**low, **{key: _merged(low[key], value) if key in low else value for key, value in high.items()}}
    return low if high is None else high


def pairs(overrides: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Overrides as a mapping. Raises `ConfigError` for one that is not key=value."""
    if isinstance(overrides, Mapping):
        return {key: str(value) for key, value in overrides.items()}
    wrong = [text for text in overrides if not text.partition("=")[0].strip() or "=" not in text]
    if wrong:
        raise ConfigError([Fault("--set", "", f"'{text}'", "key=value, such as strategy.trials=50") for text in wrong])
    return {key.strip(): value for key, _, value in (text.partition("=") for text in overrides)}
