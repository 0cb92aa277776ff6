"""Bit operations: each MAC as often as the bits of one of its numbers times those of the other.

32 x 32 in float32, 8 x 8 where a matrix and what it is applied to are int8; queries x keys and attention x values are
always float32. A count for comparing models, as in arXiv 2005.07093: no device takes a time in proportion to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from typing_extensions import override

from nas.axes import FLOAT_BITS
from nas.quantities._of_bits import OfBits
from nas.quantities._terms import Term, macs_of_matrix, macs_of_products, times

if TYPE_CHECKING:
    from nas.axes import AxisTable


@final
@dataclass(frozen=True, kw_only=True)
class BitOperations(OfBits):
    """Bit operations per image."""

    name: str = "bit_operations"
    title: str = "bit operations"
    label: str = "bit operations per image (G)"
    scale: float = 1e-9

    @override
    def terms(self, table: AxisTable) -> Sequence[Term]:
        whole = FLOAT_BITS * FLOAT_BITS
        of_matrices = [
            times(term, entry.bits, entry.bits) if entry.bits else times(term, factor=whole)
            for entry in table.entries.values()
            for term in macs_of_matrix(entry)
        ]
        return [*of_matrices, *(times(term, factor=whole) for term in macs_of_products(table))]
