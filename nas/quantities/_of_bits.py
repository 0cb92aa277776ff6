"""Counted quantities of models whose matrices may have fewer bits: only spaces that choose bits have any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from typing_extensions import override

from nas.quantities._base import Counted

if TYPE_CHECKING:
    from nas.axes import AxisTable


@dataclass(frozen=True, kw_only=True)
class OfBits(Counted):
    """Of the whole model, where at least one of its matrices has bits to choose."""

    absence: ClassVar[str] = "of a space that chooses bits (bits: {bits: [8, 32]}), and this one does not"

    @final
    @override
    def applies(self, table: AxisTable) -> bool:
        return any(entry.bits for entry in table.entries.values())
