"""A document held against the ties between its keys: a key that nothing reads is a fault, not a wish unheard."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import final

from nas.documents.conditions import Tie
from nas.documents.defaults import completed_value, default_of
from nas.documents.document import Document
from nas.documents.fields import hints, owned, readings
from nas.documents.markers import Plugged
from nas.documents.plugged import plugin_of
from nas.documents.text import KeyPath, Plain, dotted
from nas.errors import ConfigError, Fault, NasError


def untied(document: Document, kind: type, wrong: Collection[str]) -> list[Fault]:
    """The keys of a whole document of this kind whose ties do not hold, each at its own place.

    A value that is the default is none of them: a run's own study.yaml writes all of them out. Ties to a key that is
    `wrong` by itself are not looked at.
    """
    faults = []
    for path, owner, marker in owned(kind, document.data):
        if not isinstance(marker, Tie) or not _looked_at(marker, document, path, owner):
            continue
        beside = _Around(document, kind, path[:-1], owner)
        if any(dotted(beside.path(key)) in wrong for key in marker.keys):
            continue
        refusal = marker.refusal(document.get(path), default_of(owner, str(path[-1])), beside)
        if refusal is not None:
            faults.append(document.fault(path, *refusal))
    return faults


def _looked_at(tie: Tie, document: Document, path: KeyPath, owner: type) -> bool:
    """Whether the document says something at this path, another thing than the default unless the tie is of both."""
    mapping, name = document.get(path[:-1]), str(path[-1])
    if not isinstance(mapping, dict) or name not in mapping:
        return False
    if tie.of_default:
        return True
    hint = hints(owner)[name]
    return completed_value(hint, mapping[name]) != completed_value(hint, default_of(owner, name))


@final
@dataclass(frozen=True)
class _Around:
    """What is around one mapping of a document: see `Beside`."""

    document: Document
    kind: type
    """Of the whole document."""
    at: KeyPath
    """Of the mapping."""
    owner: type
    """Whose options the mapping holds."""

    def path(self, key: str) -> KeyPath:
        """Where another key lies in the document."""
        return tuple(key[1:].split(".")) if key.startswith("/") else (*self.at, key)

    def value(self, key: str) -> Plain:
        """See `Beside`."""
        whole = completed_value(self.kind, self.document.data) if key.startswith("/") else self._own()
        for step in self.path(key) if key.startswith("/") else (key,):
            whole = whole.get(str(step)) if isinstance(whole, dict) else None
        return whole

    def plugin(self, key: str) -> object | None:
        """See `Beside`."""
        owner, name = (self.kind, key[1:]) if key.startswith("/") else (self.owner, key)
        plugged = next(m for _, found in readings(hints(owner)[name]) for m in found if isinstance(m, Plugged))
        value = self.value(key)
        if isinstance(value, dict):
            beside = set(plugged.beside) - {"use"}
            value = {option: inner for option, inner in value.items() if option not in beside}
        try:
            return plugin_of(value, plugged) if isinstance(value, str | dict) else None
        except (NasError, ConfigError):
            return None

    def _own(self) -> Plain:
        return completed_value(self.owner, self.document.get(self.at))
