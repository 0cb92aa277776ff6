"""Every key that YAML may hold, read off the annotations of the code: type, default, unit, meaning, and its ties."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator
from pydantic.fields import FieldInfo

from nas.documents.conditions import AtMost, ReadWith
from nas.documents.fields import hints, is_options
from nas.documents.markers import FileOrMapping, FilePath, Marker, Plugged, RunPath
from nas.numbers import Unit

PLAIN = {bool: "true or false", int: "whole number", float: "number", str: "text", Any: "any value"}
REQUIRED = "required"
"""In the place of the default of a key that has none."""
MANY = 30
"""Names above which they are counted, not listed."""
UNREASONABLE = (float("nan"), "\0", (), (1, 0))
"""Values that bounds refuse, saying what they allow."""


@dataclass(frozen=True)
class Key:
    """A key of a mapping: what a row of the reference says of it."""

    name: str
    kind: str
    default: str
    unit: str
    meaning: str


def keys_of(options: type) -> list[Key]:
    """The keys of a dataclass of options, in their order."""
    meanings = described(options)
    return [
        Key(
            _written(field.name, hint),
            words_of(hint),
            _default(field),
            _unit(hint),
            _told(meanings.get(field.name, ""), hint, field.name),
        )
        for field in fields(options)
        if field.init
        for hint in [hints(options)[field.name]]
    ]


def _written(name: str, hint: object) -> str:
    """What YAML calls a field: `from` is no name in Python."""
    metadata = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    aliases = [one.alias for one in metadata if isinstance(one, FieldInfo) and one.alias]
    return aliases[0] if aliases else name


def nested(options: type) -> Iterator[tuple[str, type]]:
    """Key -> the dataclass that its mapping is read by."""
    for name, hint in hints(options).items():
        yield from ((name, kind) for kind in _parts(hint) if is_options(kind))


def described(options: type) -> Mapping[str, str]:
    """Field -> what the docstrings of its class, or of a base, say of it: the row of a table ("name   text"), else the
    sentences that quote it.
    """
    found: dict[str, str] = {}
    for kind in reversed(options.__mro__):
        text = inspect.cleandoc(kind.__dict__.get("__doc__") or "")
        found |= _quoted(text, [field.name for field in fields(options)]) | _tabled(text) | _below(kind)
    return found


def _below(kind: type) -> dict[str, str]:
    """What stands as a text below a field."""
    try:
        lines = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    except (OSError, TypeError):
        return {}  # a class that was made and not written: builtins, and the options of timm's optimisers
    assert isinstance(lines, ast.ClassDef)
    return {
        field.target.id: re.sub(r"\s+", " ", str(below.value.value)).strip()
        for field, below in pairwise(lines.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    }


def _tabled(text: str) -> dict[str, str]:
    rows: dict[str, str] = {}
    names: list[str] = []
    for line in text.splitlines():
        # Names alone on a line are those of a long row: what they mean follows, indented.
        start = re.match(r"^([a-z_]\w*(?:, [a-z_]\w*)*)(?: {2,}(\S.*)|)$", line)
        if start and (start[2] or "," in line):
            names = start[1].split(", ")
            rows |= dict.fromkeys(names, start[2] or "")
        elif line.startswith(" ") and names:
            rows |= {name: f"{rows[name]} {line.strip()}".strip() for name in names}
        else:
            names = []
    return rows


def _quoted(text: str, names: list[str]) -> dict[str, str]:
    sentences = re.split(r"(?<=[.:;])\s+(?=[A-Z`])", re.sub(r"\s+", " ", text))
    said = {name: " ".join(one for one in sentences if re.search(rf"`{name}\b", one)) for name in names}
    return {name: words for name, words in said.items() if words}


def words_of(hint: object) -> str:
    """The type of a value, in words: what YAML may hold there."""
    if get_origin(hint) is Annotated:
        inner, *metadata = get_args(hint)
        for marker in metadata:
            if isinstance(marker, Plugged):
                names = marker.names()
                return (
                    f"{marker.what}: {', '.join(names)}" if len(names) <= MANY else f"{marker.what}: {len(names)} names"
                )
            if isinstance(marker, FileOrMapping):
                return "file, or a mapping"
            if isinstance(marker, RunPath):
                return "folder of a run"
            if isinstance(marker, FilePath):
                return "path" if NoneType not in get_args(inner) else "path, or null"
        bounds = next(filter(None, map(_allowed, metadata)), "")
        return bounds if bounds and inner in (int, float) else " ".join(filter(None, (words_of(inner), bounds)))
    if get_origin(hint) in (Union, UnionType):
        parts = [words_of(part) for part in get_args(hint) if part is not NoneType]
        return ", or ".join(dict.fromkeys(parts + ["null"] * (NoneType in get_args(hint))))
    if get_origin(hint) is Literal:
        return ", ".join(map(str, get_args(hint)))
    return PLAIN.get(hint) or _composed(hint)  # type: ignore[call-overload]


def _composed(hint: object) -> str:
    if is_options(hint):
        return "mapping"
    arguments = [part for part in get_args(hint) if part is not Ellipsis]
    if isinstance(get_origin(hint), type) and issubclass(get_origin(hint), Mapping):
        return f"mapping of {words_of(arguments[1])}"
    if arguments:
        return f"list of {' and '.join(dict.fromkeys(map(words_of, arguments)))}"
    return "text" if hint is object else getattr(hint, "__name__", str(hint))


def _allowed(constraint: object) -> str:
    """What a bound allows, in its own words."""
    if isinstance(constraint, AfterValidator):
        return _refused(constraint.func)
    if isinstance(constraint, FieldInfo):
        words = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}
        said = [
            f"{words[name]} {getattr(one, name)}" for one in constraint.metadata for name in words if hasattr(one, name)
        ]
        return f"a number {', '.join(said)}" if said else ""
    return ""


def _refused(check: Callable[..., object]) -> str:
    for value in UNREASONABLE:
        try:
            check(value)
        except ValueError as refusal:
            return str(refusal)
        except (TypeError, AttributeError, IndexError):
            continue
    return ""


def _parts(hint: object) -> Iterator[object]:
    """A type, and all types inside it."""
    yield hint
    for part in get_args(hint):
        yield from _parts(part)


def _markers(hint: object) -> Iterator[Marker | Unit]:
    if get_origin(hint) is Annotated:
        inner, *metadata = get_args(hint)
        yield from (one for one in metadata if isinstance(one, Marker | Unit))
        yield from _markers(inner)
    elif get_origin(hint) in (Union, UnionType, tuple):
        for part in get_args(hint):
            yield from _markers(part)


def _unit(hint: object) -> str:
    return ", ".join(dict.fromkeys(marker.name for marker in _markers(hint) if isinstance(marker, Unit)))


def _default(field: Any) -> str:
    if field.default is MISSING and field.default_factory is MISSING:
        return REQUIRED
    value = field.default_factory() if field.default is MISSING else field.default
    if is_options(type(value)) or value in ({}, ()):
        return ""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _told(meaning: str, hint: object, name: str) -> str:
    """The meaning, with what it asks of other keys; of a mapping without one, where its keys are."""
    if not meaning and any(is_options(part) for part in _parts(hint)):
        meaning = f"see `{name}` below"
    meaning = f"{meaning.rstrip('.')}." if meaning else ""
    asked = []
    for marker in _markers(hint):
        if isinstance(marker, ReadWith):
            words = " or ".join(condition.words for condition in marker.conditions)
            asked.append(f"Read only with {words}." if words else "Not read here.")
        elif isinstance(marker, AtMost):
            asked.append(f"At most `{marker.key.removeprefix('/')}`.")
    return " ".join(filter(None, (meaning, *asked)))
