"""Latency as a sum of look-up tables over choices, measured on one device, as a file that can be shared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar, final

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from nas.documents.plugged import plugin_of
from nas.errors import LatencyError, NasError, SpaceError
from nas.latency.devices import DEVICE, Device
from nas.searchspaces import Additive, Factor, SearchSpace
from nas.supernets.cost import Architectures, Tabulated
from nas.supernets.of_space import fingerprint
from nas.system.files import replace_file

LATENCY: Literal["latency"] = "latency"
ENERGY: Literal["energy"] = "energy"
"""The quantities that a table may be of."""
LARGEST = 2**26
"""Bytes of a table's file."""
FORMAT = 3
"""Of the file: one with another number is of another version."""
NANOSECONDS = 1e6
"""In a millisecond; tables count in whole ones, so that sums are exact."""
PARTS = 10_000
"""Of the whole model's time: tables count in whole ones. No measurement is finer; and sums then have few values, so
that counting and drawing within a limit are as exact, and as fast, as with MACs.
"""

Nanoseconds = Annotated[int, Field(ge=0, lt=2**50)]
T = TypeVar("T")
ErrorShare = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@final
@dataclass(frozen=True)
class TimeLookup:
    """Nanoseconds by the values of some choices: `values` in the order of their combinations, the last one fastest."""

    choices: Annotated[tuple[str, ...], Field(min_length=1)]
    values: tuple[Nanoseconds, ...]


@final
@dataclass(frozen=True)
class Conditions:
    """Under which a table was measured: `measured` passes were timed, and timed again they would differ by `noise`.

    options     the device, as a study says it
    about       what its times depend on besides: hardware, versions
    image       channels, height and width
    libraries   of what made the table
    """

    options: dict[str, Annotated[str, Field(max_length=1000)] | bool | int | float | None]
    about: dict[str, str]
    image: Annotated[tuple[Annotated[int, Field(ge=1, le=2**16)], ...], Field(min_length=3, max_length=3)]
    libraries: dict[str, str]
    measured: int
    noise: ErrorShare

    @property
    def device(self) -> Device:
        """What was timed on. Raises `LatencyError` for one that there is not, or that is not so."""
        try:
            return plugin_of(self.options, DEVICE)
        except NasError as refusal:
            raise LatencyError(f"a table of latencies: its device: {refusal}") from None

    @property
    def here(self) -> bool:
        """Whether this machine is that device, with the same versions."""
        try:
            return self.device.here and dict(self.device.about) == self.about
        except LatencyError:
            return False

    @property
    def batch(self) -> int:
        """Images that a model saw together."""
        return self.device.batch

    @property
    def threads(self) -> int | None:
        """Threads that computed; None for a device that has no such number."""
        threads = self.options.get("threads")
        return threads if isinstance(threads, int) else None

    def __str__(self) -> str:
        plain = ("use", "batch", "threads")
        said = [f"{key} {value}" for key, value in self.options.items() if value and key not in plain]
        return ", ".join([str(self.options["use"]), *self.about.values(), *said])


@final
@dataclass(frozen=True)
class Accuracy:
    """How a table did on sub-networks that it was not made from, half of them random, half evenly spread from the
    smallest to the largest: of each half the median error and that of all but five in a hundred (as shares of what was
    timed) and the median noise of the times themselves, whichever is greater; and Kendall's tau of the random ones.
    """

    subnets: int
    error: ErrorShare
    most: ErrorShare
    tau: float
    noise: ErrorShare


@final
@dataclass(frozen=True)
class LatencyTable:
    """The time of a batch, of every architecture of one space, in nanoseconds; or its energy, in nanojoules.

    model      of the space
    space      its fingerprint: of the model, its arguments, the choices and their sizes
    lengths    how many values each choice has, by name
    base       of the whole model
    constant   of what no choice decides
    lookups    what the choices decide
    accuracy   None where it was not asked
    quantity   latency, or energy
    """

    format: int
    model: str
    space: str
    lengths: dict[str, Annotated[int, Field(ge=1)]]
    base: Annotated[Nanoseconds, Field(ge=1)]
    constant: Nanoseconds
    lookups: tuple[TimeLookup, ...]
    conditions: Conditions
    accuracy: Accuracy | None = None
    quantity: Literal["latency", "energy"] = LATENCY

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def additive(self, space: SearchSpace) -> Additive:
        """Nanoseconds as limits count them. Raises `LatencyError` for another space than the one that was measured."""
        choices = list(space.values())
        lengths = {choice.name: len(choice.values) for choice in choices}
        if self.space != fingerprint(space):
            differing = "choices, sizes or arguments" if self.model == space.model else "model"
            raise LatencyError(
                f"a table of latencies of {self.model} with {len(self.lengths)} choices, and the space is of "
                f"{space.model} with {len(lengths)}: another {differing}; measure it with nas bench"
            )
        positions = {choice.name: position for position, choice in enumerate(choices)}
        factors = []
        for lookup in self.lookups:
            shape = [lengths[name] for name in lookup.choices]
            table = np.array(lookup.values, dtype=np.int64).reshape(shape)
            factors.append(Factor(tuple(positions[name] for name in lookup.choices), table))
        try:
            return Additive(self.constant, tuple(factors))
        except SpaceError as refusal:
            raise LatencyError(f"a table of latencies: {refusal}") from None

    def tabulated(self, space: SearchSpace) -> Tabulated:
        """As `Cost.beside` takes it. Raises as `additive` does."""
        return Tabulated(self.additive(space), self.base, self.conditions.batch)

    def milliseconds(self, space: SearchSpace, x: Architectures) -> NDArray[np.float64]:
        """Of architectures, or of a table of them, float64 (architectures,)."""
        return self.additive(space)(space.as_table(x)) / NANOSECONDS

    def in_parts(self) -> LatencyTable:
        """The same table in whole parts of the whole model's time."""
        part = max(1, round(self.base / PARTS))

        def whole(value: int) -> int:
            return part * round(value / part)

        lookups = tuple(replace(lookup, values=tuple(map(whole, lookup.values))) for lookup in self.lookups)
        return replace(self, base=max(part, whole(self.base)), constant=whole(self.constant), lookups=lookups)

    @property
    def content(self) -> bytes:
        """What its file holds."""
        return json.dumps(asdict(self)).encode()

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        replace_file(path, self.content)

    @classmethod
    def read(cls, path: Path) -> LatencyTable:
        """A table that was written. Raises `LatencyError` for a file that is none."""
        table: LatencyTable = _read(path, _TABLE)
        table.check(path)
        return table

    def check(self, path: Path) -> None:
        """Raises `LatencyError` for a table of another version, or whose numbers are not as many as they must be."""
        if self.format != FORMAT:
            raise LatencyError(
                f"{path}: a table of version {self.format}, allowed: {FORMAT}; measure it with nas bench"
            )
        self.conditions.device  # noqa: B018  (raises)
        for lookup in self.lookups:
            wanted = int(np.prod([self.lengths.get(name, 0) for name in lookup.choices], dtype=np.int64))
            if wanted != len(lookup.values) or len(set(lookup.choices)) != len(lookup.choices):
                raise LatencyError(f"{path}: {', '.join(lookup.choices)}: {len(lookup.values)} values for {wanted}")


def packed_tables(tables: Mapping[str, LatencyTable]) -> bytes:
    """What a file of several tables holds, by their quantities."""
    return json.dumps({quantity: asdict(table) for quantity, table in tables.items()}).encode()


def read_tables(path: Path) -> dict[str, LatencyTable]:
    """Several tables that were written. Raises `LatencyError` for a file that holds none."""
    tables: dict[str, LatencyTable] = _read(path, _TABLES)
    for table in tables.values():
        table.check(path)
    return tables


def _read(path: Path, kind: TypeAdapter[T]) -> T:
    try:
        if path.stat().st_size > LARGEST:
            raise LatencyError(f"{path}: more than {LARGEST:,} bytes are no table of latencies")
        content = path.read_bytes()
    except OSError as fault:
        raise LatencyError(f"{path}: cannot be read ({fault.strerror or fault})") from None
    try:
        return kind.validate_json(content)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise LatencyError(f"{path}: no table of latencies: {where}: {first['msg']}") from None


_TABLE = TypeAdapter(LatencyTable)
_TABLES = TypeAdapter(dict[str, LatencyTable])
