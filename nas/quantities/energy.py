"""Energy: what a batch takes on a device, as a table predicts it that was measured there by the machine's own meter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from typing_extensions import override

from nas import words
from nas.quantities._base import OfTable


@final
@dataclass(frozen=True, kw_only=True)
class Energy(OfTable):
    """Nanojoules of a forward pass, predicted."""

    absence: ClassVar[str] = "known from a table alone (nas bench STUDY --energy --to FILE), which energy.table names"

    name: str = "energy"
    title: str = "predicted energy"
    unit: str = "nJ"
    scale: float = 1e-6

    @override
    def show(self, value: float, digits: int | None = None) -> str:
        return words.energy(value, digits)

    @property
    @override
    def axis_label(self) -> str:
        return f"{self.title} (mJ)"

    @property
    @override
    def axis_unit(self) -> str:
        return "mJ"
