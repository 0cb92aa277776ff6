"""MACs of the body alone, where a model has other parts: a detector's cost is often that of its heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from typing_extensions import override

from nas.quantities._of_body import OfBody
from nas.quantities._terms import Term, macs_of

if TYPE_CHECKING:
    from nas.axes import AxisTable


@final
@dataclass(frozen=True, kw_only=True)
class BodyMacs(OfBody):
    """Multiply-accumulates per image, of the body."""

    name: str = "body_macs"
    title: str = "body MACs"
    label: str = "MACs of the body per image (M); FLOPs are twice that"
    scale: float = 1e-6
    noun: str = "MACs in the body"

    @override
    def formula(self, table: AxisTable) -> Sequence[Term]:
        return macs_of(table)
