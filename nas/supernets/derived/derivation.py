"""What is derived of a model: its axes by name, the parameters that they run through, and what stays, with the reason.
No torch: what was derived before is read from the cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from nas.axes import Dim


@final
@dataclass(frozen=True)
class Derivation:
    """The axes of one model.

    model       the name of its class
    axes        those that may shrink -> their units
    parameters  name of a parameter or buffer -> its dimensions; an axis that stays is a number
    joined      name of a concatenation -> the dimensions that it is made of, one behind the other
    fixed       why axes stay -> "PARAMETER dimension N", for each
    blocks      index of a block -> its path; `skippable` are those that give what they are given, by its axes
    """

    model: str
    axes: Mapping[str, int]
    parameters: Mapping[str, tuple[Dim, ...]]
    joined: Mapping[str, tuple[Dim, ...]]
    fixed: Mapping[str, tuple[str, ...]]
    blocks: Mapping[str, str]
    skippable: tuple[str, ...]

    def through(self, axis: str) -> tuple[str, ...]:
        """Names of the parameters and buffers that an axis runs through."""
        return tuple(name for name, dims in self.parameters.items() if any(axis in self.atoms(dim) for dim in dims))

    def atoms(self, dim: Dim) -> Dim:
        """All axes of a dimension, those of concatenations included."""
        return tuple(
            atom
            for outer in dim
            for atom in (
                [inner for part in self.joined[outer] for inner in self.atoms(part)]
                if outer in self.joined
                else [outer]
            )
        )
