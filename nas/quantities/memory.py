"""Memory: what a pass of a batch needs at its fullest moment: weights, images and all that is alive beside them.

It is a maximum over moments and no sum, yet as exact: see `nas.footprint` for how it is known, and
`nas.searchspaces.counting.factors.Additive` for how it is counted and bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from nas.quantities._base import OfTable, Style


@final
@dataclass(frozen=True, kw_only=True)
class Memory(OfTable):
    """Bytes, in float32."""

    absence: ClassVar[str] = "known where a study bounds it, wants it, or has a key memory"

    name: str = "memory"
    title: str = "memory"
    label: str = "memory of a pass (MB)"
    unit: str = "B"
    scale: float = 1e-6
    shown: Style = "count"
