"""An architecture: a value for every choice of a search space, frozen and hashable."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import final

from nas.errors import SpaceError

Value = int | float
"""What a choice chooses: a size, a fraction of one, or a factor that divides one."""


@final
class Architecture(Mapping[str, Value]):
    """A value for every choice, in the order of the space. Equal values make equal architectures, whatever their order.

    A whole float is stored as an int (1.0 as 1), and numpy's numbers as Python's, so that equal architectures have
    one digest.
    """

    __slots__ = ("_digest", "_values")
    _digest: str
    _values: dict[str, Value]

    def __init__(self, values: Mapping[str, Value]) -> None:
        """Raises SpaceError when a value is no finite number."""
        object.__setattr__(self, "_values", {str(name): _plain(name, value) for name, value in values.items()})
        # Keys sorted and no blanks: equal values have one text, and so one digest.
        canonical = json.dumps(self._values, sort_keys=True, separators=(",", ":"))
        object.__setattr__(self, "_digest", hashlib.sha256(canonical.encode()).hexdigest()[:12])

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """The architecture that `str` wrote. Raises SpaceError when the text is none."""
        try:
            values = json.loads(text)
        except ValueError as fault:
            raise SpaceError(f"an architecture is a JSON object of numbers, not {text[:60]!r} ({fault})") from fault
        if not isinstance(values, dict):
            raise SpaceError(f"an architecture is a JSON object of numbers, not {text[:60]!r}")
        return cls(values)

    @property
    def digest(self) -> str:
        """12 hex digits of the SHA-256 of the canonical JSON: the architecture's name in tables of trials."""
        return self._digest

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(self._digest)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Architecture):
            return self._values == other._values
        return NotImplemented

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("an architecture is frozen; make another: Architecture({**architecture, name: value})")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("an architecture is frozen")

    def __reduce__(self) -> tuple[type[Architecture], tuple[dict[str, Value]]]:
        return Architecture, (self._values,)

    def __str__(self) -> str:
        return json.dumps(self._values)

    def __repr__(self) -> str:
        return f"Architecture({self._values})"


def _plain(name: str, value: object) -> Value:
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, bool) or not isinstance(plain, int | float) or not math.isfinite(plain):
        raise SpaceError(f"choice '{name}': found {value!r}; allowed: a finite number")
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain
