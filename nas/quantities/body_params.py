"""Parameters of the body alone, where a model has other parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from typing_extensions import override

from nas.quantities._base import Counted
from nas.quantities._terms import Term, elements

if TYPE_CHECKING:
    from nas.axes import AxisTable


@final
@dataclass(frozen=True, kw_only=True)
class BodyParams(Counted):
    """Parameters of the extracted body."""

    partial: ClassVar[bool] = True

    name: str = "body_params"
    title: str = "body params"
    label: str = "parameters of the body (M)"
    scale: float = 1e-6
    noun: str = "parameters in the body"

    @override
    def applies(self, table: AxisTable) -> bool:
        return bool(table.body)

    @override
    def terms(self, table: AxisTable) -> Sequence[Term]:
        return [elements(entry) for entry in table.of_body().entries.values()]
