"""What devices that are a GPU share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, final

import torch
from typing_extensions import override

from nas import plugins
from nas.errors import LatencyError
from nas.latency import meters
from nas.latency.devices._base import Device
from nas.latency.meters import Meter
from nas.latency.timing import SECONDS, Forward, StepTime, by_events, take_turns, warmed
from nas.numbers import whole


@dataclass(frozen=True, kw_only=True)
class OnGpu(Device):
    """A device that is one of this machine's GPUs: timed by its own events, between which nobody waits for it.

    index       of the GPU
    precision   of weights and activations
    """

    index: Annotated[int, whole(0, 1023)] = 0
    precision: Literal["float32", "bfloat16", "float16"] = "float32"

    @property
    def place(self) -> tuple[torch.device, torch.dtype]:
        """Where images are, and in which precision."""
        return torch.device("cuda", self.index), getattr(torch, self.precision)

    @property
    @override
    def about(self) -> Mapping[str, str]:
        self.check()
        return {"gpu": torch.cuda.get_device_name(self.index), **self.versions}

    @property
    @abstractmethod
    def versions(self) -> Mapping[str, str]:
        """Of the libraries that compute."""

    @override
    def check(self) -> None:
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if self.index >= count:
            raise LatencyError(f"device {self.name}: found {count} GPUs, and wanted is number {self.index}")

    @property
    def name(self) -> str:
        """What a study calls it."""
        return plugins.name_of(__package__, type(self), LatencyError)

    def stream(self) -> torch.cuda.Stream:
        """Where passes run, one after the other: torch's own stream of this GPU."""
        return torch.cuda.current_stream(self.index)

    @abstractmethod
    def ready(self, passes: Sequence[Forward]) -> Sequence[Forward]:
        """The passes as this device runs them in the current stream."""

    @override
    def meter(self) -> Meter:
        self.check()
        return meters.of_gpu(self.index)

    @final
    @override
    def metered(self, passes: Sequence[Forward], seconds: float = SECONDS) -> list[list[StepTime]]:
        self.check()
        with torch.cuda.stream(self.stream()):
            return super().metered(self.ready(passes), seconds)

    @final
    @override
    def time(self, passes: Sequence[Forward], seconds: float = SECONDS) -> list[list[StepTime]]:
        self.check()
        # Events are recorded in the current stream, and it is that of the GPU which computes: it need not be the first.
        with torch.cuda.stream(self.stream()):
            return take_turns(self.ready(passes), warmed(by_events), seconds)
