"""What must hold of each kind of derived axes, and what was found of it. No torch: a verdict may come from elsewhere.

order        units in another order, wherever the axis runs, and the same outputs
ties         one part of what an axis runs through leads to every other: it is no two axes taken for one
zeros        half of the units multiplied by 0 give what the slice without them gives, where a gate can say so
costs        MACs and parameters of the slice in closed form are those of what runs, to the unit
gradients    the slice sends finite ones into the model
extraction   the slice as a module of torch's classes gives the same, to the last bit
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

PROOFS = ("order", "ties", "zeros", "costs", "gradients", "extraction")
NOT_TRIED = "-"


@final
@dataclass(frozen=True)
class Proof:
    """What was found of one kind of axes: for each proof nothing, what is wrong, or that it says nothing here ("-")."""

    kind: str
    axes: int
    found: Mapping[str, str]

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return all(found in ("", NOT_TRIED) for found in self.found.values())
