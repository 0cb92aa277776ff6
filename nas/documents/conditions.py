"""Markers that tie a key to other keys: a switch that is read only with another one, a part that is at most its whole.

They stand in `Annotated` on the fields of options, as all markers do: `gamma: Annotated[float, ReadWith(Is("loss",
"adjoined"))]`. `nas.documents.ties` holds a document against them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol, final

from typing_extensions import override

from nas.documents.markers import Marker
from nas.documents.mistakes import shown
from nas.documents.text import Plain


class Beside(Protocol):
    """The values of other keys, as written or by default. A key is one of the same mapping, or, with a slash before
    it, one of the whole document: "/base.workers".
    """

    def value(self, key: str) -> Plain:
        """The value of another key, None where there is none."""

    def plugin(self, key: str) -> object | None:
        """The plug-in that another key describes, None where it describes none that can be made."""


class Condition(ABC):
    """What must hold of another key."""

    key: str
    """The other key."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What must hold, in words that follow "only with"."""

    @abstractmethod
    def holds(self, beside: Beside) -> bool:
        """Whether it does."""


class Tie(Marker):
    """What a value asks of other keys. It is looked at where somebody wrote another value than the default."""

    of_default: ClassVar[bool] = False
    """Whether it is looked at where somebody wrote the default, too."""

    @property
    @abstractmethod
    def keys(self) -> tuple[str, ...]:
        """The other keys."""

    @abstractmethod
    def refusal(self, value: Plain, default: Plain, beside: Beside) -> tuple[str, str] | None:
        """What is found, and what is allowed, where the value does not fit; None where it does."""


@final
@dataclass(frozen=True)
class Agrees(Tie):
    """The same number as an option of the plug-in that another key describes, where that plug-in has it: a thing that
    may be said in two places is said in one, or alike.
    """

    key: str
    option: str

    of_default = True

    @property
    @override
    def keys(self) -> tuple[str, ...]:
        return (self.key,)

    @override
    def refusal(self, value: Plain, default: Plain, beside: Beside) -> tuple[str, str] | None:
        theirs = getattr(beside.plugin(self.key), self.option, value)
        if theirs == value:
            return None
        there = f"{_bare(self.key)}.{self.option}"
        return f"{shown(value)}, but {there} is {shown(theirs)}", f"the same; or {there} alone"


@final
class ReadWith(Tie):
    """The key is read where one of the conditions holds; without any, never. The value that turns it `off`, if there is
    one, may stand anywhere.
    """

    def __init__(self, *conditions: Condition, off: Plain = None) -> None:
        self.conditions, self.off = conditions, off

    @property
    @override
    def keys(self) -> tuple[str, ...]:
        return tuple(condition.key for condition in self.conditions)

    @override
    def refusal(self, value: Plain, default: Plain, beside: Beside) -> tuple[str, str] | None:
        if (value == self.off and self.off is not None) or any(one.holds(beside) for one in self.conditions):
            return None
        otherwise = f"to leave it out, or its default {_said(default)}"
        if not self.conditions:
            return f"{_found(value)}, which nothing reads here", otherwise
        now = ", ".join(f"{_bare(key)}: {_said(beside.value(key))}" for key in dict.fromkeys(self.keys))
        words = " or ".join(condition.words for condition in self.conditions)
        return f"{_found(value)}, which is not read with {now}", f"only with {words}; otherwise {otherwise}"


@final
@dataclass(frozen=True)
class AtMost(Tie):
    """A number that is at most that of another key."""

    key: str

    @property
    @override
    def keys(self) -> tuple[str, ...]:
        return (self.key,)

    @override
    def refusal(self, value: Plain, default: Plain, beside: Beside) -> tuple[str, str] | None:
        most = beside.value(self.key)
        if not isinstance(value, int | float) or not isinstance(most, int | float) or value <= most:
            return None
        return f"{shown(value)} of {_bare(self.key)}: {shown(most)}", f"at most {shown(most)}"


@final
class Is(Condition):
    """The other key has one of these values; a mapping with `use:` counts as what it uses."""

    def __init__(self, key: str, *values: Plain) -> None:
        self.key, self.values = key, values

    @property
    @override
    def words(self) -> str:
        return f"{_bare(self.key)}: {' or '.join(map(_said, self.values))}"

    @override
    def holds(self, beside: Beside) -> bool:
        return _used(beside.value(self.key)) in self.values


@final
class IsNot(Condition):
    """The other key has another value than this one."""

    def __init__(self, key: str, value: Plain) -> None:
        self.key, self.unwanted = key, value

    @property
    @override
    def words(self) -> str:
        return f"another {_bare(self.key)} than {_said(self.unwanted)}"

    @override
    def holds(self, beside: Beside) -> bool:
        return _used(beside.value(self.key)) != self.unwanted


@final
@dataclass(frozen=True)
class Contains(Condition):
    """The other key is text with this in it."""

    key: str
    part: str

    @property
    @override
    def words(self) -> str:
        return f"{_bare(self.key)} with {self.part}"

    @override
    def holds(self, beside: Beside) -> bool:
        return self.part in str(beside.value(self.key))


@final
@dataclass(frozen=True)
class Above(Condition):
    """The other key is a number above this one."""

    key: str
    least: float

    @property
    @override
    def words(self) -> str:
        return f"{_bare(self.key)} above {self.least:g}"

    @override
    def holds(self, beside: Beside) -> bool:
        value = beside.value(self.key)
        return isinstance(value, int | float) and value > self.least


@final
@dataclass(frozen=True)
class Present(Condition):
    """The other key says something: it is no null and nothing empty."""

    key: str

    @property
    @override
    def words(self) -> str:
        return f"a {_bare(self.key)}"

    @override
    def holds(self, beside: Beside) -> bool:
        return bool(beside.value(self.key))


@final
@dataclass(frozen=True)
class Absent(Condition):
    """The other key is left out."""

    key: str

    @property
    @override
    def words(self) -> str:
        return f"no {_bare(self.key)}"

    @override
    def holds(self, beside: Beside) -> bool:
        return not beside.value(self.key)


@final
@dataclass(frozen=True)
class Offers(Condition):
    """The plug-in that the other key describes has a property that is true."""

    key: str
    name: str
    what: str
    """What such a plug-in is called."""

    @property
    @override
    def words(self) -> str:
        return self.what

    @override
    def holds(self, beside: Beside) -> bool:
        plugin = beside.plugin(self.key)
        return plugin is None or bool(getattr(plugin, self.name))


def _bare(key: str) -> str:
    return key.removeprefix("/")


def _found(value: Plain) -> str:
    """A value as faults show it: a plug-in without options by its name."""
    return shown(_used(value) if isinstance(value, dict) and list(value) == ["use"] else value)


def _used(value: Plain) -> Plain:
    return value.get("use") if isinstance(value, dict) else value


def _said(value: Plain) -> str:
    """A value as a user would write it."""
    value = _used(value)
    return value if isinstance(value, str) else "null" if value is None else shown(value)
