"""Plug-ins made from what a document, or a Python caller, says of them: the one reader of `use:`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic_core import to_jsonable_python

from nas.documents.document import Document, attempt, read
from nas.documents.fields import marked
from nas.documents.markers import Plugged
from nas.documents.text import KeyPath, dotted
from nas.errors import ConfigError, Fault, NasError, nearest

P = TypeVar("P")
Options = str | Mapping[str, Any]
"""A plug-in's name, or a mapping with `use:` and its options."""


def read_plugin(
    document: Document, at: KeyPath, plugged: Plugged[P], default: str | None = None
) -> tuple[P | None, list[Fault]]:
    """The plug-in that the mapping at a path describes, and all that is wrong with it and with those inside it.

    Presets are spelt out before. Without `use:`, it is the `default`. What is no mapping is a fault of the field's
    type, and none here.
    """
    value = document.get(at)
    if value is None and default is not None:
        return plugged.find(default)(), []
    if not isinstance(value, dict):
        return None, []
    if default is not None:
        value = {"use": default, **value}
    kind, faults = _kind(document, at, plugged, value.get("use"))
    if kind is None:
        return None, faults
    # What stands beside the options is no field of the class; places stay, since only values are taken out.
    options = {key: option for key, option in value.items() if key not in plugged.beside}
    plugin, faults = attempt(document.replaced(at, options), kind, at)
    for path, inside in marked(kind, options, at):
        if isinstance(inside, Plugged):
            faults = deepened(document, path, inside, faults)
    return plugin, faults


def deepened(document: Document, at: KeyPath, plugged: Plugged[Any], faults: Sequence[Fault]) -> list[Fault]:
    """The faults, with those of the plug-in that the mapping at a path describes: a field that makes its plug-in when
    it is read refuses the whole of it; here it is known which option.
    """
    _, deeper = read_plugin(document, at, plugged)
    kept = [fault for fault in faults if not deeper or fault.key != dotted(at)]
    return [*kept, *(fault for fault in deeper if fault not in kept)]


def plugin_of(options: Options, plugged: Plugged[P]) -> P:
    """The plug-in that options describe, a preset of its name included. Raises `ConfigError` with all that is wrong
    with them.
    """
    data = spelt(options, plugged)
    document = Document(f"{plugged.what} '{data.get('use')}'", data, {})
    plugin, faults = read_plugin(document, (), plugged)
    if faults:
        raise ConfigError(faults)
    assert plugin is not None
    return plugin


def checked(options: Options, plugged: Plugged[P]) -> Mapping[str, Any]:
    """Options as a mapping with `use:`, for pydantic. Raises ValueError when they describe no plug-in."""
    try:
        plugin_of(options, plugged)
    except NasError as fault:
        raise ValueError(str(fault)) from None
    return spelt(options, plugged)


def as_mapping(options: Options) -> dict[str, Any]:
    """Options as a mapping with `use:`."""
    return {"use": options} if isinstance(options, str) else dict(options)


def spelt(options: Options, plugged: Plugged[Any]) -> dict[str, Any]:
    """Options as a mapping with `use:`, plain data; in the place of a preset's name, what its file says."""
    own: dict[str, Any] = to_jsonable_python(as_mapping(options))
    preset = plugged.presets().get(str(own.get("use")))
    if preset is None:
        return own
    del own["use"]
    data = Document(plugged.what, own, {}).under(read(preset)).data
    assert isinstance(data, dict)
    return data


def _kind(document: Document, at: KeyPath, plugged: Plugged[P], use: object) -> tuple[type[P] | None, list[Fault]]:
    """The class that `use:` names."""
    allowed, path = plugged.allowed, (*at, "use")
    # A `use:` that was left out has no place of its own: the fault lies at the mapping, and names the key.
    if not isinstance(use, str) or use not in allowed:
        found, near = ("nothing", "") if use is None else (f"'{use}'", nearest(str(use), allowed))
        fault = document.fault(at if use is None else path, found, ", ".join(allowed) + near)
        return None, [replace(fault, key=dotted(path))]
    try:
        return plugged.find(use), []
    except NasError as refusal:
        # An error that says itself what is allowed is taken at its word; others say what is not installed.
        reason, _, better = str(refusal).partition("; allowed: ")
        found = reason if better else f"'{use}' ({reason})"
        return None, [document.fault(path, found, better or "what is installed")]
