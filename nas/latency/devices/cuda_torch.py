"""A GPU, with torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from typing_extensions import override

from nas.latency.devices._gpu import OnGpu
from nas.latency.devices._torch import OfTorch
from nas.latency.timing import Forward


@final
@dataclass(frozen=True, kw_only=True)
class CudaTorch(OnGpu, OfTorch):
    """Eager torch, or compiled."""

    @property
    @override
    def versions(self) -> Mapping[str, str]:
        return {"torch": torch.__version__, "cuda": str(torch.version.cuda)}

    @override
    def ready(self, passes: Sequence[Forward]) -> Sequence[Forward]:
        return self.made(passes)
