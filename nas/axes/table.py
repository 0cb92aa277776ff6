"""The axis table: for each parameter of a model, the names of its axes.

Two parameters that share a name share a size. A weight that is applied to tokens costs its size times their number.
Slicing, gates, reordering, extraction and counting all follow from the table; `nas.supernets.rows` binds it to a model.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from nas.axes.sizes import parts_of, size_of

FLOAT_BITS = 32
"""Bits of a number that is not rounded: all units of an axis of bits, of which a matrix may have fewer."""
Dim = tuple[str, ...]
"""What is packed into one dimension of a parameter, the last varies fastest: axes, numbers, or others one behind the
other (see `nas.axes.sizes`).
"""


@dataclass(frozen=True)
class Entry:
    """A `Row` bound to one parameter; `block` is the index of the block it lies in ("3", "2.5"), empty outside all."""

    parameter: str
    dims: tuple[Dim, ...]
    block: str = ""
    at: str = ""
    rank: str = ""
    query: str = ""
    queries: str = ""
    matrix: str = ""
    adds: bool = False
    bits: str = ""

    @cached_property
    def atoms(self) -> Dim:
        """All that is packed into its dimensions, in order."""
        return tuple(atom for dim in self.dims for atom in dim)

    @cached_property
    def axes(self) -> Dim:
        """All axes and numbers in order, with those that stand one behind the other."""
        return tuple(axis for atom in self.atoms for axis in parts_of(atom))

    @property
    def owner(self) -> str:
        """Path of the module that holds the parameter."""
        return self.parameter.rpartition(".")[0]


@dataclass(frozen=True)
class Product:
    """Multiply-accumulates that belong to no parameter, such as queries times keys: `factor` x the axes' sizes."""

    block: str
    factor: int
    atoms: Dim


@dataclass(frozen=True)
class Frame:
    """The axes of one model and how they hang together.

    `axes` maps a name to its number of units; `within` maps an axis to the one whose units it selects from, or to
    several packed into one dimension ("heads.3 head_dim.3" or "4 embed.0", the last varies fastest); `protected` gives
    the number of first units that are always kept; `blocks` maps a block's index to its module path, in the order of
    execution.
    """

    axes: Mapping[str, int]
    within: Mapping[str, str]
    protected: Mapping[str, int]
    blocks: Mapping[str, str]

    def size(self, atom: str, sizes: Mapping[str, int]) -> int:
        """Units of `atom` (an axis, a number, or several packed) under `sizes`; an axis that is not in it follows the
        one it lies within.
        """
        units: int = size_of(atom, sizes, self.axes, self.within)
        return units

    def full(self, atom: str) -> int:
        """Units of `atom` in the whole model."""
        return self.size(atom, {})

    def root(self, atom: str) -> str:
        """The outermost axis that `atom` lies within: permuting it moves the units of `atom` too."""
        while atom in self.within:
            atom = self.within[atom]
        return atom


@dataclass(frozen=True)
class AxisTable:
    """Every parameter of one model with its axes, and the products that belong to no parameter.

    `body` is the path of the part that the axes are of, where the model has other parts; empty where it is the whole.
    `buffers` are those that have axes: they are cut and permuted as parameters are, and count as none. `ungated` are
    axes without an exact gate where they are consumed: a product of activations sums over them, which is no matrix that
    a gate could be folded into. `normed` are those that a norm without weights, or another mean over units, runs over:
    a unit that is 0 still counts there. `as_graph` says that the model runs as one graph: none of its layers is called
    by itself, and gates of blocks mix what a block gives with what it is given (`Family.mix`), since nobody knows which
    parameters write all that it adds.
    """

    frame: Frame
    entries: Mapping[str, Entry]
    products: tuple[Product, ...]
    body: str = ""
    buffers: Mapping[str, Entry] = field(default_factory=dict)
    ungated: frozenset[str] = frozenset()
    normed: frozenset[str] = frozenset()
    as_graph: bool = False

    def of_body(self) -> AxisTable:
        """The table of the body alone: the whole one where the model has no other part."""
        inside = {name: entry for name, entry in self.entries.items() if name.startswith(f"{self.body}.")}
        return replace(self, entries=inside, body="") if self.body else self

    def choosing(self, chosen: Container[str]) -> AxisTable:
        """The table for a space that chooses the axes `chosen`.

        An axis that selects from packed ones stands for them; where it is not chosen they take its place again, so that
        each may be cut. A matrix whose bits are not chosen has none to choose.
        """
        frame = self.frame

        def dim(atoms: Dim) -> Dim:
            packed = frame.within.get(atoms[0], "").split()
            return tuple(packed) if len(packed) > 1 and atoms[0] not in chosen else atoms

        entries = {
            name: replace(entry, dims=tuple(map(dim, entry.dims)), bits=entry.bits if entry.bits in chosen else "")
            for name, entry in self.entries.items()
        }
        return replace(self, entries=entries)
