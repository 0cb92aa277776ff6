"""A GPU, with torch: by its own events, between which nobody waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from nas.errors import LatencyError
from nas.latency.devices._base import Device
from nas.latency.devices.cpu_torch import compiled
from nas.latency.timing import SECONDS, Forward, StepTime, by_events, take_turns
from nas.numbers import whole


@final
@dataclass(frozen=True, kw_only=True)
class CudaTorch(Device):
    """Eager torch, or compiled.

    index       of the GPU
    precision   of weights and activations
    compile     whether torch.compile makes kernels for each model; then models are timed as a whole
    """

    index: Annotated[int, whole(0, 1023)] = 0
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    compile: bool = False

    @property
    @override
    def stepwise(self) -> bool:
        return not self.compile

    @property
    def torch_device(self) -> torch.device:
        """Its torch device."""
        return torch.device("cuda", self.index)

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
    def prepared(self, model: nn.Module) -> nn.Module:
        return model.to(self.torch_device, getattr(torch, self.precision))

    @override
    def images(self, images: Tensor) -> Tensor:
        return images.to(self.torch_device, getattr(torch, self.precision))

    @override
    def time(self, passes: Sequence[Forward], seconds: float = SECONDS) -> list[list[StepTime]]:
        self.check()
        return take_turns([compiled(one) for one in passes] if self.compile else passes, by_events, seconds)
