"""The toy quantity of these tests, as a user's package would bring it: one file, and an entry point that names it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from typing_extensions import override

from nas.quantities import Counted, Term, elements

if TYPE_CHECKING:
    from nas.axes import AxisTable


@final
@dataclass(frozen=True, kw_only=True)
class WeightMemory(Counted):
    """Bytes of the weights where matrices have two bytes per element, and vectors, such as biases and norms, four."""

    name: str = "weight_memory"
    title: str = "memory of the weights"
    unit: str = "B"

    @override
    def terms(self, table: AxisTable) -> Sequence[Term]:
        return [elements(entry, factor=4 if len(entry.dims) == 1 else 2) for entry in table.entries.values()]
