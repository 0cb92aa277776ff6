"""YAML text as plain data, with the place of every key and list item. Duplicate keys and foreign tags are faults, not
surprises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from nas.errors import Fault
from nas.passwords import hidden

Plain = None | bool | int | float | str | list[Any] | dict[str, Any]
"""What YAML holds: the data of JSON, and NaN and infinity."""
KeyPath = tuple[str | int, ...]
"""The keys and list indices that lead to a value."""
Locate = Callable[[int, int], str]
"""Line and column, both from 0 as the parser counts, to the words that a fault says for them."""

_NUMBERS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float")}
_TEXTS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "timestamp", "value", "merge")}
_SCALARS = "plain values: text, numbers, true, false, null"
_WHOLE = "a whole number of at most 64 bits"
_MOST = 100_000
"""Values that a file may expand to: aliases of aliases grow exponentially."""
_DEEPEST = 64
"""Levels of lists and mappings: what reads them calls itself once for each."""
_TOO_DEEP = ("lists or mappings nested too deep", f"at most {_DEEPEST} levels")
LARGEST = 1 << 18
"""Bytes of a document, or characters of a text: a parser in Python takes seconds for so many, and one is a few thousand
long."""
TOO_LARGE = (f"more than {LARGEST:,} bytes", f"at most {LARGEST:,} bytes")
_LONGEST = 60
"""Characters of a value that a fault shows."""


def cut(text: str) -> str:
    """The text without passwords, or its beginning when it is too long to be shown."""
    text = hidden(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def dotted(path: KeyPath) -> str:
    """A path as faults write it: `choices.heads.size.2`."""
    return ".".join(map(str, path))


@final
@dataclass
class Loaded:
    """Plain data, the place of every key and item, and what is wrong with the text."""

    locate: Locate
    data: Plain = None
    places: dict[KeyPath, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, node: Node, path: KeyPath, found: str, allowed: str) -> None:
        """Adds a fault at a node."""
        where = self.locate(node.start_mark.line, node.start_mark.column)
        self.faults.append(Fault(where, dotted(path), found, allowed))


def load(text: str, locate: Locate) -> Loaded:
    """Plain data and places of a YAML 1.2 text that holds one document. Never raises for what the text says."""
    loaded = Loaded(locate)
    if len(text) > LARGEST:
        loaded.faults.append(Fault(locate(0, 0), "", *TOO_LARGE))
        return loaded
    try:
        yaml, node = _composed(text)
    except MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        where = locate(mark.line, mark.column) if mark else locate(0, 0)
        context = f" {fault.context}" if fault.context else ""
        problem = str(fault.problem).removeprefix("found ").removeprefix("but found ")
        loaded.faults.append(Fault(where, "", f"{problem}{context}", "YAML"))
    except YAMLError as fault:
        loaded.faults.append(Fault(locate(0, 0), "", str(fault).splitlines()[0], "YAML"))
    except RecursionError:
        loaded.faults.append(Fault(locate(0, 0), "", *_TOO_DEEP))
    else:
        if node is not None:
            loaded.places[()] = locate(node.start_mark.line, node.start_mark.column)
            loaded.data = _Reading(yaml, loaded).value(node, (), ())
    return loaded


@lru_cache(maxsize=16)
def _composed(text: str) -> tuple[YAML, Node | None]:
    """The parser and its nodes, which nobody changes: a run reads its study at every stage, and parsing is slow."""
    yaml = YAML(typ="safe", pure=True)
    return yaml, yaml.compose(text)


@final
class _Reading:
    """Turns the parser's nodes into plain data, noting places and faults."""

    def __init__(self, yaml: YAML, loaded: Loaded) -> None:
        self.yaml, self.loaded, self.left = yaml, loaded, _MOST

    def value(self, node: Node, path: KeyPath, above: tuple[int, ...]) -> Plain:
        """The value of a node. `above` are the nodes that it lies in: an alias of one of them has no end."""
        self.left -= 1
        if id(node) in above or self.left < 0:
            # At -1 it is said; after that every further value would be a fault of its own.
            if self.left >= -1:
                self.loaded.fault(node, path, "aliases without end", f"at most {_MOST} values")
            return None
        if len(path) == _DEEPEST and not isinstance(node, ScalarNode):
            where = self.loaded.locate(node.start_mark.line, node.start_mark.column)
            self.loaded.faults.append(Fault(where, "", *_TOO_DEEP))
            return None
        above = (*above, id(node))
        if isinstance(node, MappingNode):
            return self.mapping(node, path, above)
        if isinstance(node, SequenceNode):
            return self.sequence(node, path, above)
        assert isinstance(node, ScalarNode)
        return self.scalar(node, path)

    def mapping(self, node: MappingNode, path: KeyPath, above: tuple[int, ...]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.loaded.fault(key, path, "a list or a mapping as a key", "text as a key")
                continue
            name = str(key.value)
            if name == "<<":
                self.loaded.fault(key, path, "the merge key <<", "the keys written out")
            elif name in data:
                first = self.loaded.places[*path, name]
                self.loaded.fault(key, (*path, name), f"this key again, after {first}", "each key once")
            else:
                self.loaded.places[*path, name] = self.loaded.locate(key.start_mark.line, key.start_mark.column)
                data[name] = self.value(value, (*path, name), above)
        return data

    def sequence(self, node: SequenceNode, path: KeyPath, above: tuple[int, ...]) -> list[Any]:
        for i, item in enumerate(node.value):
            self.loaded.places[*path, i] = self.loaded.locate(item.start_mark.line, item.start_mark.column)
        return [self.value(item, (*path, i), above) for i, item in enumerate(node.value)]

    def scalar(self, node: ScalarNode, path: KeyPath) -> Plain:
        # A date and "=" are text to us: JSON knows neither.
        tag = str(node.tag)
        if tag in _TEXTS:
            return str(node.value)
        if tag not in _NUMBERS:
            self.loaded.fault(node, path, f"the tag {cut(tag)}", _SCALARS)
            return None
        try:
            plain: Plain = self.yaml.constructor.construct_object(node, deep=True)
        except (YAMLError, ValueError):
            # Python reads no number of more than 4300 digits.
            self.loaded.fault(node, path, cut(str(node.value)), _WHOLE if tag.endswith(":int") else _SCALARS)
            return None
        if isinstance(plain, int) and abs(plain) >= 2**63:
            self.loaded.fault(node, path, cut(str(node.value)), _WHOLE)
            return None
        return plain
