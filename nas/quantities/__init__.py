"""Quantities, one file each: what can be bounded or wanted of a model.

Limits, objectives, trials, frames, fronts, plots, tables and the command line take the set of them from here, and add
the metrics of the study's task.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache

from nas import plugins
from nas.errors import QuantityError
from nas.quantities._base import RESERVED, Amount, Counted, Multiple, OfTable, Origin, Quantity, Reciprocal, parted
from nas.quantities._terms import Matrix, Term, elements, expanded, factoring_pays

__all__ = [
    "RESERVED",
    "SIZE",
    "TABLE",
    "TIME",
    "Amount",
    "Counted",
    "Matrix",
    "Multiple",
    "OfTable",
    "Origin",
    "Quantity",
    "Reciprocal",
    "Term",
    "costs",
    "counted",
    "elements",
    "every_cost",
    "every_counted",
    "expanded",
    "factoring_pays",
    "find",
    "in_words",
    "multiples",
    "names",
    "parted",
    "reciprocals",
    "recorded",
    "with_multiples",
]

SIZE = "macs"
"""The cost that is meant by the size of a model: it stands beside a single objective, ties go to less of it, and strata
are bands of it.
"""


TIME = "latency"
"""The quantity of which runs had a single table once."""
TABLE = r"[a-z][a-z0-9_]{0,31}"
"""What one of several tables is called, as a pattern."""


def names() -> list[str]:
    """Names of all quantities but metrics: files of this folder, and entry points of the group "nas.quantities"."""
    return plugins.names(__name__)


def find(name: str) -> Quantity:
    """The quantity called `name`; "latency.phone" is the latency of one of several tables. Raises `QuantityError` with
    the nearest name when there is none.
    """
    plain, table = parted(name)
    quantity: Quantity = plugins.find(__name__, plain, Quantity, QuantityError)()  # type: ignore[call-arg]  # defaults
    if plain == name:
        return quantity
    if not isinstance(quantity, OfTable) or not re.fullmatch(TABLE, table):
        several = ", ".join(f"{one.name}.NAME" for one in _of_tables())
        raise QuantityError(f"no '{name}' in {__name__}; of several tables there are {several}")
    return quantity.named(table)


def counted() -> tuple[Counted, ...]:
    """The quantities that are counted of every model, each by itself: what trials record, and what limits bound."""
    return tuple(quantity for quantity in every_counted() if not quantity.partial)


def every_counted() -> tuple[Counted, ...]:
    """The same, and behind them those of parts, which trials record of models that have such a part."""
    every = [quantity for quantity in _every(tuple(sys.path)) if isinstance(quantity, Counted)]
    return tuple(sorted(every, key=lambda quantity: quantity.partial))


def recorded(among: Iterable[str] = ()) -> tuple[Counted | OfTable, ...]:
    """What trials record and limits bound: what is counted, and behind it what tables tell; also of several tables,
    those of them that are `among` some names.
    """
    return (*every_counted(), *_of_tables(), *_named({name for name in among if "." in name}))


def multiples(name: str) -> tuple[Multiple, ...]:
    """The multiples of a counted quantity, such as FLOPs of MACs."""
    every = _every(tuple(sys.path))
    return tuple(quantity for quantity in every if isinstance(quantity, Multiple) and quantity.of == name)


def reciprocals() -> tuple[Reciprocal, ...]:
    """The quantities of tables that are one of another."""
    return tuple(quantity for quantity in _of_tables() if isinstance(quantity, Reciprocal))


def costs() -> tuple[Quantity, ...]:
    """The costs of every model: the counted quantities, each with its multiples behind it."""
    return tuple(quantity for quantity in every_cost() if not quantity.partial)


def every_cost(among: Iterable[str] = ()) -> tuple[Quantity, ...]:
    """The columns of tables: the costs of every model, and behind them those that some have; see `recorded`."""
    shown: list[Quantity] = []
    for quantity in recorded(among):
        shown += [quantity, *multiples(quantity.name)]
    return tuple(shown)


def with_multiples(counts: Mapping[str, int]) -> dict[str, int]:
    """What is recorded of a model as tables show it: each quantity with its multiples behind it, in the order of
    `costs`. One that was not recorded, since it came later, is left out.
    """
    values = {quantity.name: quantity.among(counts) for quantity in every_cost(counts)}
    return {name: value for name, value in values.items() if value is not None}


def in_words(counts: Mapping[str, int]) -> str:
    """What a model costs, in a line: 3.28 M MACs (6.56 M FLOPs), 202 k parameters."""
    values = with_multiples(counts)
    parts = []
    for quantity in recorded(values):
        if quantity.name in values:
            same = ", ".join(f"{m.show(values[m.name])} {m.in_text}" for m in multiples(quantity.name))
            parts.append(f"{quantity.show(values[quantity.name])} {quantity.in_text}" + (f" ({same})" if same else ""))
    return ", ".join(parts)


def _of_tables() -> tuple[OfTable, ...]:
    return tuple(quantity for quantity in _every(tuple(sys.path)) if isinstance(quantity, OfTable))


def _named(names: Iterable[str]) -> tuple[OfTable, ...]:
    known = {quantity.name: quantity for quantity in _of_tables()}
    parts = [parted(name) for name in sorted(names)]
    return tuple(known[plain].named(table) for plain, table in parts if plain in known and re.fullmatch(TABLE, table))


@lru_cache(maxsize=8)
def _every(_path: tuple[str, ...]) -> tuple[Quantity, ...]:
    """All of them. Looking through folders takes milliseconds, and a search with FLOPs as an objective asks for them
    with every trial; what is there changes with Python's path alone.
    """
    return tuple(map(find, names()))
