"""Quantities, one file each: what can be bounded or wanted of a model.

Limits, objectives, trials, frames, fronts, plots, tables and the command line take the set of them from here, and add
the metrics of the study's task.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache

from nas import plugins
from nas.errors import QuantityError
from nas.quantities._base import RESERVED, Amount, Counted, Multiple, Origin, Quantity, Timed
from nas.quantities._terms import Matrix, Term, elements, factoring_pays

__all__ = [
    "RESERVED",
    "SIZE",
    "Amount",
    "Counted",
    "Matrix",
    "Multiple",
    "Origin",
    "Quantity",
    "Term",
    "Timed",
    "costs",
    "counted",
    "elements",
    "every_cost",
    "every_counted",
    "factoring_pays",
    "find",
    "in_words",
    "multiples",
    "names",
    "recorded",
    "with_multiples",
]

SIZE = "macs"
"""The cost that is meant by the size of a model: it stands beside a single objective, ties go to less of it, and strata
are bands of it.
"""


def names() -> list[str]:
    """Names of all quantities but metrics: files of this folder, and entry points of the group "nas.quantities"."""
    return plugins.names(__name__)


def find(name: str) -> Quantity:
    """The quantity called `name`. Raises `QuantityError` with the nearest name when there is none."""
    return plugins.find(__name__, name, Quantity, QuantityError)()  # type: ignore[call-arg]  # subclasses have defaults


def counted() -> tuple[Counted, ...]:
    """The quantities that are counted of every model, each by itself: what trials record, and what limits bound."""
    return tuple(quantity for quantity in every_counted() if not quantity.partial)


def every_counted() -> tuple[Counted, ...]:
    """The same, and behind them those of parts, which trials record of models that have such a part."""
    every = [quantity for quantity in _every(tuple(sys.path)) if isinstance(quantity, Counted)]
    return tuple(sorted(every, key=lambda quantity: quantity.partial))


def recorded() -> tuple[Counted | Timed, ...]:
    """What trials record and limits bound: what is counted, and behind it what is timed, of models with a table."""
    timed = [quantity for quantity in _every(tuple(sys.path)) if isinstance(quantity, Timed)]
    return (*every_counted(), *timed)


def multiples(name: str) -> tuple[Multiple, ...]:
    """The multiples of a counted quantity, such as FLOPs of MACs."""
    every = _every(tuple(sys.path))
    return tuple(quantity for quantity in every if isinstance(quantity, Multiple) and quantity.of == name)


def costs() -> tuple[Quantity, ...]:
    """The costs of every model: the counted quantities, each with its multiples behind it."""
    return tuple(quantity for quantity in every_cost() if not quantity.partial)


def every_cost() -> tuple[Quantity, ...]:
    """The columns of tables: the costs of every model, and behind them those that some have."""
    shown: list[Quantity] = []
    for quantity in recorded():
        shown += [quantity, *multiples(quantity.name)]
    return tuple(shown)


def with_multiples(counts: Mapping[str, int]) -> dict[str, int]:
    """What is recorded of a model as tables show it: each quantity with its multiples behind it, in the order of
    `costs`. One that was not recorded, since it came later, is left out.
    """
    values = {quantity.name: quantity.among(counts) for quantity in every_cost()}
    return {name: value for name, value in values.items() if value is not None}


def in_words(counts: Mapping[str, int]) -> str:
    """What a model costs, in a line: 3.28 M MACs (6.56 M FLOPs), 202 k parameters."""
    values = with_multiples(counts)
    parts = []
    for quantity in recorded():
        if quantity.name in values:
            same = ", ".join(f"{m.show(values[m.name])} {m.in_text}" for m in multiples(quantity.name))
            parts.append(f"{quantity.show(values[quantity.name])} {quantity.in_text}" + (f" ({same})" if same else ""))
    return ", ".join(parts)


@lru_cache(maxsize=8)
def _every(_path: tuple[str, ...]) -> tuple[Quantity, ...]:
    """All of them. Looking through folders takes milliseconds, and a search with FLOPs as an objective asks for them
    with every trial; what is there changes with Python's path alone.
    """
    return tuple(map(find, names()))
