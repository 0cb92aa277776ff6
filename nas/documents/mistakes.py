"""Says in the user's words what pydantic found wrong: one fault per place, with what is allowed there and the nearest
right key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from nas.documents.text import KeyPath, Plain, dotted
from nas.errors import Fault, nearest
from nas.passwords import hidden

_ALLOWED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "missing": "a value",
}
NOTHING = "nothing"
"""What faults show for an empty value."""
_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")


def shown(value: object) -> str:
    """A value of a file as faults show it: short, and in YAML's own words."""
    if value is None:
        return NOTHING
    text = hidden(json.dumps(value, ensure_ascii=False, default=str))  # before it is cut, which may cut the @ off
    if len(text) > 60:
        return f"a mapping of {len(value)}" if isinstance(value, Mapping) else f"{text[:57]}..."
    return f"'{hidden(value)}'" if isinstance(value, str) else text


def faults_of(
    error: ValidationError, adapter: TypeAdapter[Any], data: Plain, at: KeyPath, where: Callable[[KeyPath], str]
) -> list[Fault]:
    """The faults of `data`, which lies at the path `at` of its document; `where` says the place of a path of the
    document.
    """
    # Pydantic reports every branch of a union: one place may have several errors, which become one fault.
    details = error.errors(include_url=False)
    places = [_path(detail, data) for detail in details]
    faults = []
    for path in dict.fromkeys(places):
        # Where one reading of a value failed inside it, the readings that failed at once were not meant.
        if any(len(other) > len(path) and other[: len(path)] == path for other in places):
            continue
        here = [detail for detail, place in zip(details, places, strict=True) if place == path]
        found, allowed = _words(here, path, adapter)
        faults.append(Fault(where((*at, *path)), dotted((*at, *path)), found, allowed))
    return faults


def _path(detail: ErrorDetails, data: Any) -> KeyPath:
    """Where an error lies in the data: its `loc` without the names that pydantic gives to the branches of a union."""
    path: list[str | int] = []
    for i, step in enumerate(detail["loc"]):
        inside = step in data if isinstance(data, dict) else isinstance(data, list) and step in range(len(data))
        if inside:
            data = data[step]
        if inside or (detail["type"] == "missing" and i == len(detail["loc"]) - 1):
            path.append(step)
    return tuple(path)


def _words(details: Sequence[ErrorDetails], path: KeyPath, adapter: TypeAdapter[Any]) -> tuple[str, str]:
    """What was found at a place, and what is allowed there."""
    first = details[0]
    if first["type"] in _UNKNOWN:
        # The JSON schema knows the keys of nested dataclasses too, by the names that YAML has for them.
        names = _keys(adapter.json_schema(), path[:-1])
        return "an unknown key", f"{', '.join(names) or 'no key'}{nearest(str(path[-1]), names)}"
    if first["type"] == "missing":
        return NOTHING, "a value for this key"
    # "a number, or a whole number" says no more than "a number".
    allowed = list(dict.fromkeys(_allowed(detail, path, adapter) for detail in details))
    if "a number" in allowed and "a whole number" in allowed:
        allowed.remove("a whole number")
    return shown(first["input"]), ", or ".join(allowed)


def _allowed(detail: ErrorDetails, path: KeyPath, adapter: TypeAdapter[Any]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in ("dataclass_type", "dataclass_exact_type"):
        names = _keys(adapter.json_schema(), path)
        return f"a mapping with the keys {', '.join(names)}" if names else "a mapping"
    if kind == "literal_error":
        options = str(context["expected"])
        return options + nearest(str(detail["input"]), re.findall(r"'([^']*)'", options))
    if kind == "value_error":
        return str(context["error"])
    return _ALLOWED.get(kind, detail["msg"].removeprefix("Input should be "))


def _keys(schema: Mapping[str, Any], path: KeyPath, root: Mapping[str, Any] | None = None) -> list[str]:
    """The keys that a JSON schema allows at a path."""
    root = schema if root is None else root
    # A named part of the schema stands elsewhere; a union allows the keys of all its branches.
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return _keys(root["$defs"][name], path, root)
    keys: list[str] = []
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        keys += _keys(branch, path, root)
    if not path:
        return keys + list(schema.get("properties", ()))
    step, rest = path[0], path[1:]
    if isinstance(step, str):
        inner = schema.get("properties", {}).get(step, schema.get("additionalProperties"))
    else:
        fixed = schema.get("prefixItems", ())
        inner = fixed[step] if step < len(fixed) else schema.get("items")
    return keys + (_keys(inner, rest, root) if isinstance(inner, dict) else [])
