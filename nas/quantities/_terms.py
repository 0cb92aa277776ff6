"""Counted quantities in closed form: sums of products of axis sizes, which `nas.supernets.cost` evaluates.

No number of a model stands here, only names of axes: one formula serves whole numbers, tables of a million
architectures, and differentiable sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

from nas.axes.sizes import JOIN, packs_of

if TYPE_CHECKING:
    from nas.axes import AxisTable, Entry


@final
@dataclass(frozen=True)
class Matrix:
    """A matrix that may be factored in two: the axis of its rank, and the axes of its outputs and inputs."""

    rank: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]


def factoring_pays(rank: int, outputs: int, inputs: int) -> bool:
    """Whether two factors (outputs x rank, rank x inputs) cost less than one matrix (outputs x inputs): where they do
    not, a matrix stays whole, whatever its rank. Arrays, which broadcast, are compared element by element.
    """
    return rank * (outputs + inputs) < outputs * inputs


@final
@dataclass(frozen=True)
class Term:
    """One summand of a cost: `factor` x the sizes of `atoms` (axes, or numbers as text).

    block    index of the block that it belongs to; empty outside all. A skipped block has none of its terms
    matrix   if given, the term is multiplied by the elements of this matrix. Where the matrix is factored, and that
             pays, these are the elements of its two factors
    inner    if given, the term is multiplied by the inputs of the layer that gives this matrix's outputs: the matrix's
             own inputs, or its rank where it is factored, since the outer factor is a layer of its own. It is needed
             for queries that are not computed: they spare the outer layer alone
    written  if given, the term is multiplied by the outputs of all layers that this matrix is: its own, and its rank
             too where it is factored
    narrow   if given, the term counts only where this axis of bits has fewer than all
    """

    block: str
    factor: int
    atoms: tuple[str, ...]
    matrix: Matrix | None = None
    inner: Matrix | None = None
    written: Matrix | None = None
    narrow: str = ""


def elements(entry: Entry, *times: str, factor: int = 1) -> Term:
    """The elements of a parameter, times the sizes of some axes: those that its matrix is applied to, for products."""
    # A matrix that may be factored costs what its rank says; any other parameter the product of its axes.
    if entry.rank:
        return Term(entry.block, factor, times, Matrix(entry.rank, *entry.dims))
    return Term(entry.block, factor, (*times, *entry.atoms))


def expanded(term: Term) -> Iterator[Term]:
    """A term as a sum of others, in which nothing stands one behind the other: each depends on few axes."""
    joined = next((place for place, atom in enumerate(term.atoms) if JOIN in atom), None)
    if joined is None:
        yield term
        return
    before, behind = term.atoms[:joined], term.atoms[joined + 1 :]
    for pack in packs_of(term.atoms[joined]):
        yield from expanded(replace(term, atoms=(*before, *pack, *behind)))


def params_of(table: AxisTable) -> list[Term]:
    """The parameters of a model, or of the part of it that a table is of."""
    return [elements(entry) for entry in table.entries.values()]


def macs_of(table: AxisTable) -> list[Term]:
    """The multiply-accumulates of a model, or of the part of it that a table is of."""
    return [*(term for entry in table.entries.values() for term in macs_of_matrix(entry)), *macs_of_products(table)]


def macs_of_matrix(entry: Entry) -> list[Term]:
    """Those of one parameter: none where it is applied to nothing."""
    return [*([elements(entry, entry.at)] if entry.at else []), *(_spared(entry) if entry.queries else [])]


def macs_of_products(table: AxisTable) -> list[Term]:
    """Those that belong to no parameter."""
    return [Term(product.block, product.factor, product.atoms) for product in table.products]


def times(term: Term, *atoms: str, factor: int = 1) -> Term:
    """A term, times the sizes of some axes and a number."""
    return replace(term, factor=factor * term.factor, atoms=(*term.atoms, *atoms))


def _spared(entry: Entry) -> tuple[Term, Term]:
    """A row of queries, keys and values counts all for every token; queries that are not computed are taken off."""
    (_, *outputs), inputs = entry.dims
    inner = Matrix(entry.rank, entry.dims[0], inputs)
    return (
        Term(entry.block, 1, (entry.queries, *outputs), inner=inner),
        Term(entry.block, -1, (entry.at, *outputs), inner=inner),
    )
