"""The machine that this runs on: cores, memory, GPUs, as far as this process may use them."""

from __future__ import annotations

import contextlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import final

from nas import words

MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much memory a container may take."""


@final
@dataclass(frozen=True)
class Gpu:
    """A GPU that torch sees, and its memory in bytes."""

    name: str
    memory: int


@final
@dataclass(frozen=True)
class Machine:
    """Cores and bytes of memory that this process may use, and the GPUs that torch sees."""

    cores: int
    memory: int
    gpus: tuple[Gpu, ...]

    def __str__(self) -> str:
        gpus = words.listed([f"{gpu.name} ({words.gigabytes(gpu.memory)})" for gpu in self.gpus]) if self.gpus else ""
        cores = f"{self.cores} core{'s' if self.cores > 1 else ''}"
        return f"{cores}, {words.gigabytes(self.memory)} of memory, {gpus or 'no GPU'}"


def this_machine() -> Machine:
    """What is there now. Asks torch for GPUs."""
    import torch

    seen = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    properties = [torch.cuda.get_device_properties(number) for number in seen]
    return Machine(cores(), memory(), tuple(Gpu(one.name, one.total_memory) for one in properties))


def processor() -> str:
    """Its model, as Linux or the platform names it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, name = line.partition(":")
            if key.strip() == "model name":
                return " ".join(name.split())
    return platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Bytes of memory, or what a container may take of it."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in MEMORY_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # none there, or "max"
            whole = min(whole, int(Path(path).read_text(encoding="ascii")))
    return whole
