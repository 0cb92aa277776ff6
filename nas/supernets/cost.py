"""What sub-networks cost: every counted quantity (`nas.quantities`), in closed form from the axis table; and what a
table says that was measured on a device (`Cost.beside`).

One formula serves a table of a million architectures (compiled into sums of small look-up tables), one architecture
with given sizes, and gates whose sums are differentiable sizes. The formulas themselves, and what they count, stand
with the quantities.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from nas import quantities
from nas.axes import AxisTable
from nas.errors import LimitError
from nas.quantities import Matrix, Multiple, Term, expanded, factoring_pays
from nas.searchspaces import Additive, Architecture, Factor, SearchSpace
from nas.searchspaces.axis_names import DEPTH, axis_name

if TYPE_CHECKING:
    from torch import Tensor

Architectures = Architecture | Sequence[Architecture] | NDArray[np.integer[Any]]


@final
@dataclass(frozen=True)
class Tabulated:
    """A cost that no formula gives: what a table says of every architecture of a space, and of the whole model, for a
    batch of so many images.
    """

    additive: Additive
    base: int
    batch: int = 1


@final
class Cost:
    """Costs of the architectures of one space."""

    def __init__(self, table: AxisTable, space: SearchSpace) -> None:
        self.space = space
        self.frame = table.frame
        self._tabulated: Mapping[str, Tabulated] = {}
        self._reciprocals: Mapping[str, tuple[str, float]] = {}
        counted = [quantity for quantity in quantities.every_counted() if quantity.applies(table)]
        self._terms = {q.name: [part for term in q.terms(table) for part in expanded(term)] for q in counted}
        multiples = (q for q in quantities.every_cost() if isinstance(q, Multiple))
        self._multiples = {q.name: q for q in multiples if q.of in self._terms}
        for name in self._terms:
            # The base model has the greatest cost, in Python's own integers. `Additive` refuses one that is too large
            # to count, before int64 tables could overflow.
            Additive(self.base(name), ())
        self._choices = {axis: position for position, choice in enumerate(space.values()) for axis in choice.sizes[0]}
        self._additive = {name: self._compile(terms) for name, terms in self._terms.items()}

    def beside(self, tabulated: Mapping[str, Tabulated]) -> Cost:
        """The same costs, and beside them those of tables, by their quantities: {"latency": ...}."""
        both = copy.copy(self)
        both._tabulated = {**self._tabulated, **tabulated}
        both._additive = {**self._additive, **{name: of.additive for name, of in tabulated.items()}}
        both._reciprocals = {**self._reciprocals, **_reciprocals(tabulated)}
        return both

    def macs(self, x: Architectures) -> NDArray[np.int64]:
        """MACs per image of architectures, or of a table of them (architectures x choices, indices into `.values`)."""
        return self.of("macs", x)

    def flops(self, x: Architectures) -> NDArray[np.int64]:
        """Floating-point operations per image: 2 x MACs."""
        return self.of("flops", x)

    def params(self, x: Architectures) -> NDArray[np.int64]:
        """Number of parameters of the extracted models."""
        return self.of("params", x)

    def of(self, quantity: str, x: Architectures) -> NDArray[np.int64]:
        """Any of these costs, or a multiple of one, of architectures or a table of them, int64 (architectures,)."""
        if quantity in self._reciprocals:
            of, whole = self._reciprocals[quantity]
            return _per(whole, self.additive(of)(self.space.as_table(x)))
        return self.additive(quantity)(self.space.as_table(x))

    def counts(self, architecture: Architecture) -> dict[str, int]:
        """All these costs of one architecture, as a trial records them."""
        table = self.space.as_table(architecture)
        return self._with_reciprocals({name: int(additive(table)[0]) for name, additive in self._additive.items()})

    @property
    def ends(self) -> tuple[dict[str, int], dict[str, int]]:
        """The least and the greatest of each of these costs that an architecture has. Counted ones are those of the
        smallest and the largest; by a table others may have them: fewer bits may take longer.
        """
        timed = {name: self.space.ends(of.additive) for name, of in self._tabulated.items()}
        least, greatest = (
            self._with_reciprocals(self.counts(end) | {name: ends[place] for name, ends in timed.items()})
            for place, end in enumerate((self.space.smallest, self.space.largest))
        )
        return least, greatest

    def additive(self, quantity: str) -> Additive:
        """A cost as a constant and a sum of functions of few choices each. Raises `LimitError` for one that the model
        has none of, or of which no table says anything.
        """
        if quantity in self._multiples:
            multiple = self._multiples[quantity]
            return self._additive[multiple.of].times(multiple.times)
        if quantity not in self._additive:
            known = ", ".join((*self._additive, *self._multiples, *self._reciprocals))
            raise LimitError(f"'{quantity}' is {quantities.find(quantity).absence}; allowed: {known}")
        return self._additive[quantity]

    def base(self, quantity: str) -> int:
        """The cost of the whole model."""
        if quantity in self._tabulated:
            return self._tabulated[quantity].base
        if quantity in self._reciprocals:
            return self.bases[quantity]
        return int(self.of_sizes(quantity, {}))

    @property
    def bases(self) -> dict[str, int]:
        """All these costs of the whole model."""
        return self._with_reciprocals({name: self.base(name) for name in self._additive})

    def reciprocal(self, quantity: str) -> tuple[str, float]:
        """What a reciprocal is one of, and what it is times that. Raises `LimitError` as `additive` does."""
        if quantity not in self._reciprocals:
            self.additive(quantity)
        return self._reciprocals[quantity]

    def per_block(self, x: Architectures, quantity: str) -> dict[str, NDArray[np.int64]]:
        """A counted cost split by block index, int64 (architectures,) each; "" holds what lies outside all blocks."""
        table = self.space.as_table(x)
        blocks: dict[str, list[Term]] = {index: [] for index in ("", *self.frame.blocks)}
        for term in self._terms[quantity]:
            blocks[term.block].append(term)
        return {index: self._compile(terms)(table) for index, terms in blocks.items()}

    def of_sizes(self, quantity: str, sizes: Mapping[str, Any]) -> Any:
        """A cost where some axes have given sizes, and the others their own: integers, arrays or tensors.

        With differentiable sizes it is differentiable; ranks must then be integers. What a table says lies, between the
        sizes of the space, on the straight line from one to the next; its sizes are single numbers.
        """
        if quantity in self._tabulated:
            additive, positions = self._tabulated[quantity].additive, self._positions(sizes)
            parts, moments = (
                [_between(factor.table, [positions[choice] for choice in factor.choices]) for factor in of]
                for of in (additive.factors, additive.moments)
            )
            return additive.constant + sum(parts) + max([0, *moments])
        if quantity in self._reciprocals:
            of, whole = self._reciprocals[quantity]
            return whole / self.of_sizes(of, sizes)
        if quantity in self._multiples:
            multiple = self._multiples[quantity]
            return multiple.times * self.of_sizes(multiple.of, sizes)
        return sum((self._value(term, sizes) for term in self._terms[quantity]), start=0)

    def of_gates(self, quantity: str, gates: Mapping[str, Any]) -> Any:
        """A cost where the size of an axis is the sum of its gates: differentiable, exact at gates of 0 and 1."""
        return self.of_sizes(quantity, {axis: values.sum() for axis, values in gates.items()})

    def expected(self, quantity: str, weights: Sequence[Tensor]) -> Tensor:
        """The mean cost of architectures whose choices are drawn independently: `weights[choice][value]` sum to 1.

        Exact, and differentiable towards the weights: each look-up table is contracted with the weights of its choices.
        But of a maximum the greatest of the means is taken, which no mean of the maximum is below.
        """
        import torch  # whoever has weights has loaded it

        additive = self.additive(quantity)
        # A mean of a sum is the sum of means, and choices are independent: each table is contracted by itself.
        total = weights[0].new_full((), float(additive.constant))
        for factor in additive.factors:
            total = total + self._mean(factor, weights)
        means = [self._mean(factor, weights) for factor in additive.moments]
        return total + torch.stack(means).max().clamp(min=0) if means else total

    def _mean(self, factor: Factor, weights: Sequence[Tensor]) -> Tensor:
        import torch

        mean = torch.as_tensor(factor.table, dtype=weights[0].dtype, device=weights[0].device)
        # A matrix product contracts the last dimension, so that of the last choice goes first.
        for choice in reversed(factor.choices):
            mean = mean @ weights[choice]
        return mean

    def _with_reciprocals(self, counts: dict[str, int]) -> dict[str, int]:
        reciprocals = {name: int(_per(whole, np.array(counts[of]))) for name, (of, whole) in self._reciprocals.items()}
        return counts | reciprocals

    def _positions(self, sizes: Mapping[str, Any]) -> list[tuple[int, Any]]:
        """Where sizes of axes lie among the values of each choice: behind which value, and how far towards the next
        one, from 0 to 1.
        """
        positions: list[tuple[int, Any]] = []
        for choice in self.space.values():
            units = [sum(size.values()) for size in choice.sizes]
            wanted = sum(self.frame.size(axis, sizes) for axis in choice.axes)
            behind = max(0, sum(of <= _number(wanted) for of in units[:-1]) - 1)
            above = units[min(behind + 1, len(units) - 1)] - units[behind]
            towards = (wanted - units[behind]) / above if above else 0.0
            # Beyond the ends of the space nobody has measured anything: what is there counts as the end.
            clipped = min(1.0, max(0.0, _number(towards)))
            positions.append((behind, towards if clipped == _number(towards) else clipped))
        return positions

    def _size(self, atom: str, sizes: Mapping[str, Any]) -> Any:
        return self.frame.size(atom, sizes)

    def _value(self, term: Term, sizes: Mapping[str, Any]) -> Any:
        """A term where axes have these sizes; numbers, arrays that broadcast against each other, or tensors."""
        value: Any = term.factor
        for atom in term.atoms:
            value = value * self._size(atom, sizes)
        if term.matrix:
            value = value * self._elements(term.matrix, sizes)
        if term.inner:
            value = value * self._read(term.inner, sizes)
        if term.written:
            value = value * self._written(term.written, sizes)
        if term.narrow:
            value = value * _either(self._size(term.narrow, sizes) < self.frame.axes[term.narrow], 1, 0)
        # A block is an axis of one unit, so a skipped block multiplies by 0.
        return value * self._size(axis_name(DEPTH, term.block), sizes) if term.block else value

    def _elements(self, matrix: Matrix, sizes: Mapping[str, Any]) -> Any:
        """Elements of a matrix, or of its two factors where that pays."""
        m, n, rank = self._shape(matrix, sizes)
        return _either(factoring_pays(rank, m, n), rank * (m + n), m * n)

    def _read(self, matrix: Matrix, sizes: Mapping[str, Any]) -> Any:
        """Inputs of the layer that gives a matrix's outputs."""
        m, n, rank = self._shape(matrix, sizes)
        return _either(factoring_pays(rank, m, n), rank, n)

    def _written(self, matrix: Matrix, sizes: Mapping[str, Any]) -> Any:
        """Outputs of a matrix, and those of its inner factor where that pays."""
        m, n, rank = self._shape(matrix, sizes)
        return m + _either(factoring_pays(rank, m, n), rank, 0)

    def _shape(self, matrix: Matrix, sizes: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        m, n = (
            math.prod((self._size(atom, sizes) for atom in atoms), start=1) for atoms in (matrix.outputs, matrix.inputs)
        )
        return m, n, self._size(matrix.rank, sizes)

    def _compile(self, terms: Sequence[Term]) -> Additive:
        """Sum the terms that depend on the same choices into one look-up table each.

        A term depends on few choices, such as those of its block, so its values for all of theirs fit a small table.
        Then a million architectures are as many look-ups per table, and no formula.
        """
        tables: dict[tuple[int, ...], NDArray[np.int64]] = {}
        choices = list(self.space.values())
        for term in terms:
            positions = tuple(sorted({self._choices[axis] for axis in self._atoms(term) if axis in self._choices}))
            # The sizes of a choice's values lie along a dimension of its own. So one evaluation of the term, broadcast,
            # gives its value for every combination: dimension k of the table is the value of the k-th choice.
            sizes: dict[str, NDArray[np.int64]] = {}
            for along, position in enumerate(positions):
                shape = [-1 if p == along else 1 for p in range(len(positions))]
                for axis in choices[position].sizes[0]:
                    values = np.array([chosen[axis] for chosen in choices[position].sizes], dtype=np.int64)
                    sizes[axis] = values.reshape(shape)
            shape = [len(choices[position].values) for position in positions]
            # A dimension of length 1 is left where the value does not change with a choice after all. So it is with the
            # outputs of an `inner` matrix, which only decide whether factoring pays, if that matrix is never factored.
            value = np.broadcast_to(np.asarray(self._value(term, sizes), dtype=np.int64), shape)
            tables[positions] = tables.get(positions, np.zeros(shape, dtype=np.int64)) + value
        # Terms that depend on no choice have the table of no dimension.
        constant = int(tables.pop((), np.int64(0)))
        return Additive(constant, tuple(Factor(positions, table) for positions, table in sorted(tables.items())))

    def _atoms(self, term: Term) -> Iterable[str]:
        """Every axis that a term may depend on, down to the ones that its axes lie within."""
        atoms = list(term.atoms)
        for matrix in filter(None, (term.matrix, term.inner, term.written)):
            atoms += [matrix.rank, *matrix.outputs, *matrix.inputs]
        if term.narrow:
            atoms.append(term.narrow)
        if term.block:
            atoms.append(axis_name(DEPTH, term.block))
        for atom in atoms:
            yield from self._deciding(atom)

    def _deciding(self, packed: str) -> Iterator[str]:
        """The axes that decide the size of one, or of several packed."""
        for atom in packed.split():
            yield atom
            # An axis that is not chosen has the size of the one that it lies within.
            if atom not in self._choices and atom in self.frame.within:
                yield from self._deciding(self.frame.within[atom])


def _reciprocals(tabulated: Mapping[str, Tabulated]) -> dict[str, tuple[str, float]]:
    """Of each reciprocal of what tables tell: its own name, what it is one of, and what it is times that."""
    found: dict[str, tuple[str, float]] = {}
    for one in quantities.reciprocals():
        for name, table in tabulated.items():
            plain, of = quantities.parted(name)
            if plain == one.of:
                found[f"{one.name}.{of}" if of else one.name] = (name, one.times(table.batch))
    return found


def _per(whole: float, values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.floor(whole / np.maximum(values, 1)).astype(np.int64)


def _number(size: Any) -> float:
    """The value of a number, or of a tensor of one."""
    return float(size.detach()) if hasattr(size, "detach") else float(size)


def _between(table: NDArray[np.int64], positions: Sequence[tuple[int, Any]]) -> Any:
    """A value of a table at a position along each dimension: linear between neighbours, along one after the other."""
    if not positions:
        return int(table)
    (behind, towards), *others = positions
    low = _between(table[behind], others)
    if isinstance(towards, float | int) and towards == 0:
        return low
    return low + towards * (_between(table[behind + 1], others) - low)


def _either(condition: Any, yes: Any, no: Any) -> Any:
    """`yes` where `condition`, else `no`; arrays are chosen from element by element."""
    return np.where(condition, yes, no) if isinstance(condition, np.ndarray) else yes if condition else no
