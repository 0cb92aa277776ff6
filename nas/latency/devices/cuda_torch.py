"""A GPU, with torch: by its own events, between which nobody waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, final

import torch
from typing_extensions import override

from nas.errors import LatencyError
from nas.latency import meters
from nas.latency.devices._torch import OfTorch
from nas.latency.meters import Meter
from nas.latency.timing import SECONDS, Forward, StepTime, by_events, take_turns, warmed
from nas.numbers import whole


@final
@dataclass(frozen=True, kw_only=True)
class CudaTorch(OfTorch):
    """Eager torch, or compiled.

    index       of the GPU
    precision   of weights and activations
    """

    index: Annotated[int, whole(0, 1023)] = 0
    precision: Literal["float32", "bfloat16", "float16"] = "float32"

    @property
    @override
    def place(self) -> tuple[torch.device, torch.dtype]:
        return torch.device("cuda", self.index), getattr(torch, self.precision)

    @property
    @override
    def about(self) -> Mapping[str, str]:
        self.check()
        gpu = torch.cuda.get_device_name(self.index)
        return {"gpu": gpu, "torch": torch.__version__, "cuda": str(torch.version.cuda)}

    @override
    def check(self) -> None:
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if self.index >= count:
            raise LatencyError(f"device cuda_torch: found {count} GPUs, and wanted is number {self.index}")

    @override
    def meter(self) -> Meter:
        self.check()
        return meters.of_gpu(self.index)

    @override
    def time(self, passes: Sequence[Forward], seconds: float = SECONDS) -> list[list[StepTime]]:
        self.check()
        return take_turns(self.made(passes), warmed(by_events), seconds)
