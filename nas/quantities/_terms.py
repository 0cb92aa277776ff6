"""Counted quantities in closed form: sums of products of axis sizes, which `nas.supernets.cost` evaluates.

No number of a model stands here, only names of axes: one formula serves whole numbers, tables of a million
architectures, and differentiable sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from nas.supernets.axes import Entry


@final
@dataclass(frozen=True)
class Matrix:
    """A matrix that may be factored in two: the axis of its rank, and the axes of its outputs and inputs."""

    rank: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]


@final
@dataclass(frozen=True)
class Term:
    """One summand of a cost: `factor` x the sizes of `atoms` (axes, or numbers as text).

    block    index of the block that it belongs to: the term is gone when the block is skipped; empty outside all
    matrix   multiplied by the elements of this matrix: of its two factors, where it is factored and that pays
    inner    multiplied by how many numbers each output of this matrix is made of: its inputs, or its rank where it is
             factored. For rows of queries that are not computed, which spare the last layer and no other
    """

    block: str
    factor: int
    atoms: tuple[str, ...]
    matrix: Matrix | None = None
    inner: Matrix | None = None


def elements(entry: Entry, *times: str, factor: int = 1) -> Term:
    """The elements of a parameter, times the sizes of some axes: those that its matrix is applied to, for products."""
    if entry.rank:
        return Term(entry.block, factor, times, Matrix(entry.rank, *entry.dims))
    return Term(entry.block, factor, (*times, *entry.atoms))
