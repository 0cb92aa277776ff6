"""The fields of options, found by their annotations: which markers stand where, through nested options and plug-ins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import UnionType
from typing import Annotated, TypeGuard, Union, get_args, get_origin, get_type_hints

from nas.documents.markers import Marker, Plugged
from nas.documents.text import KeyPath, Plain


def marked(kind: type, data: Plain, at: KeyPath = ()) -> Iterator[tuple[KeyPath, Marker]]:
    """The markers on the fields of a dataclass and of all that is nested in it, each with its path; outer ones first.

    `data` is what lies at the path `at`, right or wrong. It decides which plug-ins' fields follow, and how many items
    lists have; markers of fields that it does not mention are found as well.
    """
    for path, _, marker in owned(kind, data, at):
        yield path, marker


def owned(kind: type, data: Plain, at: KeyPath = ()) -> Iterator[tuple[KeyPath, type, Marker]]:
    """As `marked`, with the dataclass that has the field between path and marker; of a list's items, that of the
    list.
    """
    for name, hint in hints(kind).items():
        yield from _inside(hint, data.get(name) if isinstance(data, dict) else None, (*at, name), kind)


def _inside(hint: object, value: Plain, at: KeyPath, owner: type) -> Iterator[tuple[KeyPath, type, Marker]]:
    for kind, markers in readings(hint):
        for marker in markers:
            yield at, owner, marker
            # Only the value says which plug-in it is, and with that, which fields there are.
            if isinstance(marker, Plugged) and (plugged := marker.kind(value)) is not None:
                yield from owned(plugged, value, at)
        if is_options(kind):
            yield from owned(kind, value, at)
        elif isinstance(value, dict) and get_origin(kind) is Mapping:
            for name, item in value.items():
                yield from _inside(get_args(kind)[1], item, (*at, name), owner)
        elif isinstance(value, list):
            # Of a union that may be one value or several, the branch with the items' type is meant.
            for position, (inner, item) in enumerate(zip(item_hints(kind, len(value)), value, strict=False)):
                yield from _inside(inner, item, (*at, position), owner)


@lru_cache(maxsize=256)
def hints(kind: type) -> Mapping[str, object]:
    """Field -> its annotation, with all that `Annotated` says."""
    assert is_options(kind), f"{kind} is no dataclass"
    every = get_type_hints(kind, include_extras=True)
    return {field.name: every[field.name] for field in fields(kind)}


def readings(hint: object) -> Iterator[tuple[object, tuple[Marker, ...]]]:
    """The types that a value of this annotation may have, each with the markers on it: unions are taken apart. The
    markers on a whole union come first, with None for its type.
    """
    if get_origin(hint) is Annotated:
        inner, *metadata = get_args(hint)
        yield None, tuple(entry for entry in metadata if isinstance(entry, Marker))
        yield from readings(inner)
    elif get_origin(hint) in (Union, UnionType):
        for option in get_args(hint):
            yield from readings(option)
    else:
        yield hint, ()


def item_hints(kind: object, count: int) -> tuple[object, ...]:
    """The annotations of the first `count` items of a list of this type; none for what is no list."""
    arguments = get_args(kind)
    if not arguments or get_origin(kind) in (dict, Mapping):
        return ()
    fixed = get_origin(kind) is tuple and arguments[-1] is not Ellipsis
    return arguments[:count] if fixed else arguments[:1] * count


def is_options(kind: object) -> TypeGuard[type]:
    """Whether a type is a dataclass: a mapping of options."""
    return isinstance(kind, type) and is_dataclass(kind)
