"""MACs: multiplications each with an addition, of the matrix products of one input.

Counted are linear layers, the patch convolution, queries x keys and attention x values; not norms, activations, biases
and softmax. It is what papers print as "FLOPs", and half of what `torch.utils.flop_counter` counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from typing_extensions import override

from nas.quantities._base import Counted
from nas.quantities._terms import Term, macs_of

if TYPE_CHECKING:
    from nas.axes import AxisTable


@final
@dataclass(frozen=True, kw_only=True)
class Macs(Counted):
    """Multiply-accumulates per image."""

    name: str = "macs"
    title: str = "MACs"
    label: str = "MACs per image (M); FLOPs are twice that"
    scale: float = 1e-6
    about: str = "One MAC is a multiplication and an addition"

    @override
    def terms(self, table: AxisTable) -> Sequence[Term]:
        return macs_of(table)
