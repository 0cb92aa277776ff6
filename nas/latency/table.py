"""Latency as a sum of look-up tables over choices, measured on one device, as a file that can be shared."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError

from nas.errors import LatencyError
from nas.searchspaces import Additive, Factor, SearchSpace
from nas.supernets.cost import Architectures
from nas.system.files import replace_file

LARGEST = 2**26
"""Bytes of a table's file."""
NANOSECONDS = 1e6
"""In a millisecond; tables count in whole ones, so that sums are exact."""


@final
@dataclass(frozen=True)
class TimeLookup:
    """Nanoseconds by the values of some choices: `values` in the order of their combinations, the last one fastest."""

    choices: tuple[str, ...]
    values: tuple[int, ...]


@final
@dataclass(frozen=True)
class Conditions:
    """Under which a table was measured; `spread` is that of the times themselves, as a share."""

    device: str
    threads: int
    batch: int
    image: tuple[int, ...]
    libraries: dict[str, str]
    measured: int
    spread: float


@final
@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds of a batch, of every architecture of one space.

    model     of the space
    lengths   how many values each choice has, by name
    constant  nanoseconds of what no choice decides
    lookups   what the choices decide
    """

    model: str
    lengths: dict[str, int]
    constant: int
    lookups: tuple[TimeLookup, ...]
    conditions: Conditions

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def additive(self, space: SearchSpace) -> Additive:
        """Nanoseconds as limits count them. Raises `LatencyError` for another space than the one that was measured."""
        choices = list(space.values())
        lengths = {choice.name: len(choice.values) for choice in choices}
        if self.model != space.model or self.lengths != lengths:
            raise LatencyError(
                f"this table of latencies is of {self.model} with {len(self.lengths)} choices; the space is of "
                f"{space.model} with {len(lengths)}: measure it with nas bench"
            )
        positions = {choice.name: position for position, choice in enumerate(choices)}
        factors = []
        for lookup in self.lookups:
            shape = [lengths[name] for name in lookup.choices]
            table = np.array(lookup.values, dtype=np.int64).reshape(shape)
            factors.append(Factor(tuple(positions[name] for name in lookup.choices), table))
        return Additive(self.constant, tuple(factors))

    def milliseconds(self, space: SearchSpace, x: Architectures) -> NDArray[np.float64]:
        """Of architectures, or of a table of them, float64 (architectures,)."""
        return self.additive(space)(space.as_table(x)) / NANOSECONDS

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        replace_file(path, json.dumps(asdict(self)).encode())

    @classmethod
    def read(cls, path: Path) -> LatencyTable:
        """A table that was written. Raises `LatencyError` for a file that is none."""
        try:
            if path.stat().st_size > LARGEST:
                raise LatencyError(f"{path}: more than {LARGEST:,} bytes are no table of latencies")
            table: LatencyTable = _TABLE.validate_json(path.read_bytes())
        except OSError as fault:
            raise LatencyError(f"{path}: cannot be read ({fault.strerror or fault})") from None
        except ValidationError as wrong:
            first = wrong.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise LatencyError(f"{path}: no table of latencies: {where}: {first['msg']}") from None
        for lookup in table.lookups:
            wanted = int(np.prod([table.lengths.get(name, 0) for name in lookup.choices], dtype=np.int64))
            if wanted != len(lookup.values):
                raise LatencyError(f"{path}: {', '.join(lookup.choices)}: {len(lookup.values)} values for {wanted}")
        return table


_TABLE = TypeAdapter(LatencyTable)
