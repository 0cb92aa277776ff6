"""Frozen dataclasses as JSON and back: a file that was damaged by hand, but is valid JSON, is found out when it is
read, not where a key is missed. More keys than a class knows are allowed.
"""

from __future__ import annotations

from typing import TypeVar, cast

from pydantic import JsonValue, TypeAdapter, ValidationError

T = TypeVar("T")


def parsed(kind: type[T], content: bytes | str) -> T:
    """What JSON holds, as a `kind`. Raises `ValidationError` for another content, see `said`."""
    return _adapter(kind).validate_json(content, strict=True)


def parsed_plain(kind: type[T], data: object) -> T:
    """What plain data holds, as a `kind`. Raises as `parsed` does."""
    return _adapter(kind).validate_python(data)


def plain(value: object) -> dict[str, JsonValue]:
    """A dataclass as plain data, its keys in the order of its fields."""
    data: dict[str, JsonValue] = _adapter(type(value)).dump_python(value)
    return data


def said(error: ValidationError) -> str:
    """The first fault of damaged data, in a few words."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"not JSON ({first['ctx']['error']})"
    key = ".".join(map(str, first["loc"]))
    return f"'{key}' is missing or wrong" if key else "no mapping of the keys that belong there"


def absent(value: object) -> bool:
    """For optional fields that have no key in the file where there is nothing to say."""
    return value is None


def empty(value: object) -> bool:
    """The same for lists."""
    return value == []


_ADAPTERS: dict[object, object] = {}
"""Adapters by what they adapt to: to make one takes longer than to read a file with it."""


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return cast("TypeAdapter[T]", _ADAPTERS[kind])
