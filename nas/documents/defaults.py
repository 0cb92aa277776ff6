"""Options with every default written out, so that two ways to say the same are the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from pydantic_core import to_jsonable_python

from nas.documents.fields import hints, is_options, item_hints, readings
from nas.documents.markers import Plugged
from nas.documents.plugged import as_mapping
from nas.documents.text import Plain


def completed(kind: type, options: Mapping[str, Any]) -> dict[str, Plain]:
    """Options of a dataclass as plain data, with the defaults of those that are not given."""
    whole = dict(options)
    annotations = hints(kind)
    for field in fields(kind):
        if field.name not in options and not _has_default(field):
            continue
        value = options[field.name] if field.name in options else _default(field)
        whole[field.name] = completed_value(annotations[field.name], to_jsonable_python(value))
    return whole


def completed_value(hint: object, value: Plain) -> Plain:
    """A value of a field: options and plug-ins in it completed, all else as it is."""
    for kind, markers in readings(hint):
        plugged = next((marker for marker in markers if isinstance(marker, Plugged)), None)
        if plugged is not None and (chosen := plugged.kind(value)) is not None:
            assert isinstance(value, str | dict)
            # `uniform` and `{use: uniform}` are the same setting: defaults are kept in the first form, and read back
            # from a study's file in the second.
            return completed(chosen, as_mapping(value))
        if is_options(kind) and isinstance(value, dict):
            return completed(kind, value)
        if isinstance(value, list) and (inner := item_hints(kind, len(value))):
            return [completed_value(hint, item) for hint, item in zip(inner, value, strict=False)]
    return value


def default_of(kind: type, name: str) -> Plain:
    """The default of a field as plain data, None where it has none."""
    field = next(field for field in fields(kind) if field.name == name)
    default: Plain = to_jsonable_python(_default(field)) if _has_default(field) else None
    return default


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _default(field: Field[Any]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()
