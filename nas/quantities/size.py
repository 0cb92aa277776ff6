"""Size: the bytes of the extracted model's weights in its file.

Four for a number in float32, one where a matrix is int8, and then four for the scale of each of its outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

from typing_extensions import override

from nas.quantities._of_bits import OfBits
from nas.quantities._terms import Matrix, Term, elements, params_of, times

if TYPE_CHECKING:
    from nas.axes import AxisTable

FLOAT, INT8 = 4, 1
"""Bytes of a number."""


@final
@dataclass(frozen=True, kw_only=True)
class WeightSize(OfBits):
    """Bytes of the weights."""

    name: str = "size"
    title: str = "size"
    label: str = "size of the weights (MB)"
    unit: str = "B"
    scale: float = 1e-6

    @override
    def terms(self, table: AxisTable) -> Sequence[Term]:
        rounded = [entry for entry in table.entries.values() if entry.bits]
        spared = [replace(elements(entry, factor=INT8 - FLOAT), narrow=entry.bits) for entry in rounded]
        scales = [
            Term(entry.block, FLOAT, (), written=Matrix(entry.rank, *entry.dims), narrow=entry.bits)
            for entry in rounded
        ]
        return [*(times(term, factor=FLOAT) for term in params_of(table)), *spared, *scales]
