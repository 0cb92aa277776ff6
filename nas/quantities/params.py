"""Parameters: the numbers that a model has learned, biases and norms included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from typing_extensions import override

from nas.quantities._base import Counted
from nas.quantities._terms import Term, params_of

if TYPE_CHECKING:
    from nas.axes import AxisTable


@final
@dataclass(frozen=True, kw_only=True)
class Params(Counted):
    """Parameters of the extracted model."""

    name: str = "params"
    title: str = "params"
    label: str = "parameters (M)"
    scale: float = 1e-6
    noun: str = "parameters"

    @override
    def terms(self, table: AxisTable) -> Sequence[Term]:
        return params_of(table)
