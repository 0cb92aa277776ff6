"""FLOPs of the body alone, where a model has other parts: two for each MAC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from nas.quantities._base import Multiple
from nas.quantities._of_body import OF_BODY


@final
@dataclass(frozen=True, kw_only=True)
class BodyFlops(Multiple):
    """Floating-point operations per image, of the body."""

    absence: ClassVar[str] = OF_BODY

    name: str = "body_flops"
    title: str = "body FLOPs"
    noun: str = "FLOPs in the body"
    of: str = "body_macs"
    times: int = 2
