"""Parameters of the body alone, where a model has other parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from typing_extensions import override

from nas.quantities._of_body import OfBody
from nas.quantities._terms import Term, params_of

if TYPE_CHECKING:
    from nas.axes import AxisTable


@final
@dataclass(frozen=True, kw_only=True)
class BodyParams(OfBody):
    """Parameters of the extracted body."""

    name: str = "body_params"
    title: str = "body params"
    label: str = "parameters of the body (M)"
    scale: float = 1e-6
    noun: str = "parameters in the body"

    @override
    def formula(self, table: AxisTable) -> Sequence[Term]:
        return params_of(table)
