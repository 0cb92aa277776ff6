"""A search space: named choices on a model, and all that a search may do with them: count, draw, check, vary and
repair.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, cast, final

import numpy as np

from nas.documents.document import Document, read
from nas.documents.text import cut
from nas.errors import SpaceError, nearest
from nas.ready_made import named
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.choices._base import Choice
from nas.searchspaces.counting.factors import Additive, Indices, Rule, Table
from nas.searchspaces.counting.lattice import Lattice
from nas.searchspaces.counting.rules import Rules
from nas.searchspaces.from_yaml import Parts, load
from nas.searchspaces.limit import Limit
from nas.searchspaces.outline import Outline
from nas.trusted import trust_code

_ROW = (list, tuple, np.ndarray, int, np.integer)
"""What the items of a list are when it is a table, or a row of one."""


@final
class SearchSpace(Mapping[str, Choice]):
    """Choices by name, in order. A table of architectures is an integer array (n, choices) of indices into the
    choices' values.

    Only canonical architectures are counted and drawn: choices in blocks that are switched off have their last value,
    and so have ranks where two factors would cost no less than the matrix, which then stays whole.
    """

    def __init__(
        self,
        choices: Sequence[Choice],
        outline: Outline,
        model_args: Mapping[str, Any] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        assert choices, "a space has at least one choice"
        assert len({choice.name for choice in choices}) == len(choices), "names are unique"
        self.outline = outline
        self.model = outline.model
        self.model_args: Mapping[str, Any] = dict(model_args or {})
        self.notes = tuple(notes)
        """What was dropped from the YAML, and where."""
        self.n_values = tuple(len(choice.values) for choice in choices)
        """Number of values of each choice."""
        self._choices = {choice.name: choice for choice in choices}
        self._rules = Rules.of(choices, outline)

    @classmethod
    def from_yaml(
        cls, path_or_text: str | Path, *, model_args: Mapping[str, Any] | None = None, outline: Outline | None = None
    ) -> SearchSpace:
        """The space that a YAML file or text describes, or one that comes with nas, by its name. `model_args` go over
        those of the file.

        Without an outline the model is asked for one, through the entry points "nas.outlines". Raises ConfigError
        with every fault of the file, among them a model that is unknown or not supported.
        """
        document = read(named(path_or_text, "searchspaces") or path_or_text)
        trust_code(document.get(("model",)))
        return cls.from_document(document, model_args=model_args, outline=outline)

    @classmethod
    def from_document(
        cls,
        document: Document,
        at: tuple[str, ...] = (),
        *,
        model_args: Mapping[str, Any] | None = None,
        outline: Outline | None = None,
    ) -> SearchSpace:
        """As `from_yaml`, from a part of a document that was read before, such as the `space:` of a study."""
        parts: Parts = load(document, at, model_args or {}, outline)
        return cls(parts.choices, parts.outline, parts.model_args, parts.notes)

    def __getitem__(self, name: str) -> Choice:
        return self._choices[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._choices)

    def __len__(self) -> int:
        return len(self._choices)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"SearchSpace({self.model}, {len(self)} choices, {Decimal(self.size):.3g} architectures)"

    @cached_property
    def axes(self) -> frozenset[str]:
        """The axes that the choices set."""
        return frozenset(axis for choice in self.values() for axis in choice.axes)

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """All true for architectures of this space, and for no other rows."""
        return self._rules.all()

    @cached_property
    def lattice(self) -> Lattice:
        """All architectures, as a lattice without limits."""
        return Lattice(self.n_values, self.rules)

    @property
    def size(self) -> int:
        """Exact number of architectures."""
        return self.lattice.count

    @cached_property
    def largest(self) -> Architecture:
        """Every choice at its last value."""
        return self._row([n - 1 for n in self.n_values])

    @cached_property
    def smallest(self) -> Architecture:
        """Every choice at its first value, but the last one where it makes no difference: in blocks that are switched
        off, and of ranks at which nothing is factored.
        """
        return self._row([0] * len(self))

    def ends(self, cost: Additive) -> tuple[int, int]:
        """The least and the greatest value of a cost that any architecture has."""
        return Lattice(self.n_values, self.rules, [cost], [(-math.inf, math.inf)]).reachable[0]

    def sample(self, rng: np.random.Generator, limit: Limit | None = None) -> Architecture:
        """An architecture, uniformly drawn from all that the limit allows."""
        return self.from_table(self.sample_table(rng, 1, limit))[0]

    def sample_table(self, rng: np.random.Generator, n: int, limit: Limit | None = None) -> Table:
        """A table of n architectures, uniformly and independently drawn from all that the limit allows.

        Raises SpaceError when `rng` or `limit` is something else.
        """
        if limit is not None and not isinstance(limit, Limit):
            raise SpaceError(f"limit: found {cut(repr(limit))}; allowed: a Limit, such as Limit(cost, macs='50%')")
        if not isinstance(rng, np.random.Generator):
            raise SpaceError(f"rng: found {cut(repr(rng))}; allowed: a Generator, such as np.random.default_rng(0)")
        return (self.lattice if limit is None else limit.lattice).sample(rng, n)

    def check(self, architecture: Mapping[str, Any]) -> None:
        """Raises SpaceError, naming choice, found and allowed, when the architecture is not of this space."""
        # What the rules would repair is what is wrong.
        row = self.to_table([architecture])
        repaired = self.canonical(row)
        wrong = np.flatnonzero(row[0] != repaired[0])
        if len(wrong):
            c = int(wrong[0])
            choice = list(self.values())[c]
            found, allowed = choice.values[row[0, c]], choice.values[repaired[0, c]]
            if not self._rules.active(c, row)[0]:
                reason = f"{allowed}, since its block is switched off"
            elif choice.chain:
                reason = f"at most {allowed}, since sizes never grow"
            else:
                reason = f"{allowed}, which is the same network, since two factors would cost no less than the matrix"
            raise SpaceError(f"choice '{choice.name}': found {found}; allowed: {reason}")

    def spelled(self, architecture: Mapping[str, Any]) -> Architecture:
        """The same architecture with every rank at the last of the values that mean the same network, as `check` wants
        it. Older runs hold others.
        """
        return self.from_table(self._rules.spelled(self.to_table([architecture])))[0]

    def to_table(self, architectures: Sequence[Mapping[str, Any]]) -> Table:
        """Architectures as a table, int64 (n, choices). Raises SpaceError on a choice or a value that the space does
        not have.
        """
        if not isinstance(architectures, Sequence) or isinstance(architectures, str):
            raise _misfit(architectures, "a list of architectures")
        table = np.empty((len(architectures), len(self)), np.int64)
        for r, architecture in enumerate(architectures):
            if not isinstance(architecture, Mapping):
                raise _misfit(architecture, "an architecture (choice: value)")
            if architecture.keys() != self._positions.keys():
                self._refuse_names(architecture)
            for name, value in architecture.items():
                column, indices = self._positions[name]
                # True is the key 1 of a dictionary, and no value.
                number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
                index = indices.get(value) if number else None
                if index is None:
                    allowed = ", ".join(map(str, self[name].values))
                    raise SpaceError(f"choice '{name}': found {value!r}; allowed: {allowed}")
                table[r, column] = index
        return table

    def from_table(self, table: Indices | Sequence[Sequence[int]]) -> list[Architecture]:
        """The rows of a table as architectures."""
        columns = [choice.values for choice in self.values()]
        names = list(self)
        return [
            Architecture({name: values[i] for name, values, i in zip(names, columns, row, strict=True)})
            for row in self._checked(table).tolist()
        ]

    def as_table(self, x: Mapping[str, Any] | Sequence[Mapping[str, Any]] | Sequence[Sequence[int]] | Indices) -> Table:
        """One architecture, a list of them, a table (also a list of lists) or one row of a table, as a table (n,
        choices).

        Raises SpaceError when names, values or indices are not of this space; rules between choices are not looked at.
        """
        if isinstance(x, Mapping):
            return self.to_table([x])
        if isinstance(x, np.ndarray) or (isinstance(x, list | tuple) and x and isinstance(x[0], _ROW)):
            return self._checked(cast(Indices, x))
        if not isinstance(x, Sequence) or isinstance(x, str):
            raise _misfit(x, f"an architecture, a list of them, or a table of integers (n, {len(self)})")
        return self.to_table(cast(Sequence[Mapping[str, Any]], x))

    def sizes(self, architecture: Mapping[str, Any]) -> dict[str, int]:
        """Axis -> number of units that stay, for the axes that choices set."""
        row = self.to_table([architecture])[0].tolist()
        return {
            axis: size for choice, i in zip(self.values(), row, strict=True) for axis, size in choice.sizes[i].items()
        }

    def canonical(self, table: Indices | Sequence[Sequence[int]]) -> Table:
        """A copy of the table in which every row is an architecture: inactive choices, and ranks at which nothing is
        factored, at their last value, and nothing grows.
        """
        return self._rules.canonical(self._checked(table))

    def neighbours(self, architecture: Mapping[str, Any]) -> Iterator[Architecture]:
        """The distinct architectures one step up or down of one choice away, made canonical."""
        row = self.as_table(architecture)[0]
        steps = [self._step(row, c, step) for c in range(len(self)) for step in (-1, 1)]
        yield from self.from_table(self._changed(row, [step for step in steps if step]))

    def crossover(self, a: Mapping[str, Any], b: Mapping[str, Any], rng: np.random.Generator) -> Architecture:
        """Every choice from one parent or the other with equal chance, made canonical."""
        first, second = self.to_table([a, b])
        return self._row(np.where(rng.random(len(self)) < 0.5, first, second))

    def mutate(self, a: Mapping[str, Any], rng: np.random.Generator, rate: float) -> Architecture:
        """Every choice drawn anew with probability `rate`, made canonical; another architecture whenever the space
        has one in reach.

        When the draw ends where it began, one choice is changed: uniformly drawn from all single changes that make a
        difference.
        """
        # Values drawn anew may be the old ones, and rules may undo a change: then the child is its parent again.
        row = self.as_table(a)[0]
        drawn = (rng.random(len(self)) * self.n_values).astype(np.int64)
        child = self.canonical(np.where(rng.random(len(self)) < rate, drawn, row)[None])
        if (child[0] == row).all():
            others = [(c, v) for c, n in enumerate(self.n_values) for v in range(n) if v != row[c]]
            single = self._changed(row, others)
            if len(single):
                child = single[[rng.integers(len(single))]]
        return self.from_table(child)[0]

    def nearest(self, x: Mapping[str, Any] | Indices, limit: Limit | None = None) -> Architecture:
        """The architecture within the limit that is the fewest steps of single choices away from x, made canonical
        first.
        """
        row = self.canonical(self.as_table(x))[0]
        if limit is None or limit.allows(row[None])[0]:
            return self._row(row)
        # The path whose values are the fewest steps away in sum is the best one, when each step costs one.
        scores = [-np.abs(np.arange(n) - i).astype(np.float64) for n, i in zip(self.n_values, row, strict=True)]
        return self._row(limit.lattice.best(scores))

    @cached_property
    def _positions(self) -> dict[str, tuple[int, dict[Any, int]]]:
        """Name -> column, and value -> index."""
        return {name: (c, {v: i for i, v in enumerate(choice.values)}) for c, (name, choice) in enumerate(self.items())}

    def _row(self, row: Sequence[int] | Table) -> Architecture:
        return self.from_table(self._rules.canonical(np.asarray(row, np.int64)[None]))[0]

    def _step(self, row: Table, c: int, step: int) -> tuple[int, int] | None:
        """The choice and its next index in a direction that is another network; None where there is none."""
        indices = range(row[c] + step, self.n_values[c] if step > 0 else -1, step)
        if c not in self._rules.ranks:
            return (c, indices[0]) if indices else None
        # Of ranks at which nothing is factored all are one network: from there it takes more than one index.
        return next(((c, index) for index in indices if len(self._changed(row, [(c, index)]))), None)

    def _changed(self, row: Table, changes: Sequence[tuple[int, int]]) -> Table:
        """The distinct canonical rows that single changes (choice, index) of a row make, without the row itself, in
        their order.
        """
        table = np.repeat(row[None], len(changes), axis=0)
        for r, (c, index) in enumerate(changes):
            table[r, c] = index
        table = self._rules.canonical(table)
        table = table[(table != row).any(axis=1)]
        # Distinct rows, sorted by `unique`, put back into the order of the changes.
        _, first = np.unique(table, axis=0, return_index=True)
        return np.asarray(table[np.sort(first)])

    def _checked(self, table: Indices | Sequence[Sequence[int]]) -> Table:
        if not isinstance(table, np.ndarray | list | tuple):
            raise _misfit(table, f"a table of integers (n, {len(self)})")
        try:
            table = np.atleast_2d(np.asarray(table))
        except (ValueError, TypeError) as fault:
            raise _misfit(table, f"a table of integers (n, {len(self)}), all rows equally long") from fault
        if table.ndim != 2 or table.shape[1] != len(self) or not np.issubdtype(table.dtype, np.integer):
            shape = f"{table.dtype} of shape {table.shape}"
            raise SpaceError(f"a table of architectures: found {shape}; allowed: integers of shape (n, {len(self)})")
        # Per column: the first choice with an index out of range is named.
        low, high = (table.min(0), table.max(0)) if len(table) else (np.zeros(1), np.zeros(1))
        wrong = np.flatnonzero((low < 0) | (high >= np.array(self.n_values)))
        if len(wrong):
            c = int(wrong[0])
            found = low[c] if low[c] < 0 else high[c]
            raise SpaceError(f"choice '{list(self)[c]}': found index {found}; allowed: 0 to {self.n_values[c] - 1}")
        return table.astype(np.int64, copy=False)

    def _refuse_names(self, architecture: Mapping[str, Any]) -> None:
        unknown = [name for name in architecture if name not in self]
        if unknown:
            hint = nearest(str(unknown[0]), self)
            raise SpaceError(
                f"unknown choice '{unknown[0]}'; the space has {len(self)} choices: {', '.join(self)}{hint}"
            )
        missing = [name for name in self if name not in architecture]
        raise SpaceError(f"no value for choice '{missing[0]}'; allowed: {', '.join(map(str, self[missing[0]].values))}")


def _misfit(found: object, allowed: str) -> SpaceError:
    """The error for an argument that is no architecture and no table: its type, and its beginning."""
    text = cut(" ".join(repr(found).split()))
    return SpaceError(f"found {text} ({type(found).__name__}); allowed: {allowed}")
