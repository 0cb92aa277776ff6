"""The device that is measured: its name, seconds of a call, and the memory that a call takes."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, final

import torch

from benchmarks.pairs import compared

WARM_UP = 3
"""Calls that are not counted: kernels are chosen and loaded in them, and memory is taken."""
MIB = 2**20


class Peak(NamedTuple):
    """MiB at most: of all tensors, and of those alone that a call made."""

    whole: float
    own: float


@final
@dataclass(frozen=True)
class Machine:
    """`small`: tiny models and few repetitions, to try the script where there is no GPU."""

    device: torch.device
    small: bool

    @classmethod
    def here(cls, *, small: bool) -> Machine:
        """The GPU; without one, the processor, and all is small."""
        if torch.cuda.is_available():
            return cls(torch.device("cuda"), small)
        return cls(torch.device("cpu"), small=True)

    @property
    def name(self) -> str:
        """The GPU's own name, or the processor's kind."""
        return torch.cuda.get_device_name() if self._gpu else f"CPU ({platform.machine()})"

    @property
    def repeats(self) -> int:
        """How often a call is timed."""
        return 2 if self.small else 7

    def seconds(self, call: Callable[[], object]) -> float:
        """Of one call, to the end of what it started on the device."""
        if not self._gpu:
            start = time.perf_counter()
            call()
            return time.perf_counter() - start
        torch.cuda.synchronize()  # else the first event waits for the work of others
        start_event, end_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start_event.record()
        call()
        end_event.record()
        torch.cuda.synchronize()
        return start_event.elapsed_time(end_event) / 1000

    def rate(self, call: Callable[[], object], amount: int) -> dict[str, float]:
        """`amount` per second, where a call does so much: median, least and greatest."""
        for _ in range(WARM_UP):
            call()
        rates = sorted(amount / self.seconds(call) for _ in range(self.repeats))
        return {"value": rates[len(rates) // 2], "least": rates[0], "greatest": rates[-1]}

    def ratio(self, a: Callable[[], object], b: Callable[[], object]) -> dict[str, float]:
        """Seconds of `a` over those of `b`, in pairs: median, least and greatest."""
        for _ in range(WARM_UP):
            a(), b()
        found = compared([(self.seconds(a), self.seconds(b)) for _ in range(self.repeats)])
        return {"value": found["ratio"], "least": found["least"], "greatest": found["greatest"]}

    def peak(self, call: Callable[[], object]) -> Peak | None:
        """The memory that tensors take during a call; None on a processor."""
        if not self._gpu:
            return None
        call()  # what stays from call to call, such as the optimiser's moments, is there now
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        most = torch.cuda.max_memory_allocated()
        return Peak(most / MIB, (most - before) / MIB)

    @property
    def _gpu(self) -> bool:
        return self.device.type == "cuda"


@contextmanager
def exact() -> Iterator[None]:
    """Products of float32 in float32: by default, convolutions on a GPU round their inputs to TF32."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
