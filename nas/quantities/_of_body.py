"""Counted quantities of the body alone, where a model has other parts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from typing_extensions import override

from nas.quantities._base import Counted
from nas.quantities._terms import Term

if TYPE_CHECKING:
    from nas.axes import AxisTable


OF_BODY = "of a part that the model is without"


@dataclass(frozen=True, kw_only=True)
class OfBody(Counted):
    """The `formula` of a whole model, for the table of its body; models that are all body have none of it."""

    absence: ClassVar[str] = OF_BODY

    @abstractmethod
    def formula(self, table: AxisTable) -> Sequence[Term]:
        """The quantity of all that a table is of."""

    @final
    @override
    def applies(self, table: AxisTable) -> bool:
        return bool(table.body)

    @final
    @override
    def terms(self, table: AxisTable) -> Sequence[Term]:
        return self.formula(table.of_body())
