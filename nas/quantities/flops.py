"""FLOPs: floating-point operations, two for each MAC. The field's commonest mistake is one limit misread by two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.quantities._base import Multiple


@final
@dataclass(frozen=True, kw_only=True)
class Flops(Multiple):
    """Floating-point operations per image."""

    name: str = "flops"
    title: str = "FLOPs"
    of: str = "macs"
    times: int = 2
