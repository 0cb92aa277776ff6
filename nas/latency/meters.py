"""What a machine says of the energy that it has used: RAPL of processors, NVML of GPUs. Both count all that a package
does, so that energy is measured on a machine that does nothing else.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from nas.errors import LatencyError
from nas.latency.timing import Clock, Forward, finish

POWERCAP = Path("/sys/class/powercap")
LEAST = 0.2
"""Seconds that passes are repeated for, at least."""
MOVES = 10
"""How often a meter moves meanwhile, at least: a processor's does a thousand times a second, a GPU's some ten times."""
MOST = 30.0
"""Seconds in which it has moved so often, or stands still."""

Meter = Callable[[], float]
"""Joules since whenever, always from the same moment on."""


def of_processor() -> Meter:
    """All packages of this machine's processors. Raises `LatencyError` where the kernel tells nothing, or not to this
    user.
    """
    try:
        packages = sorted(zone for zone in POWERCAP.iterdir() if re.fullmatch(r"intel-rapl:\d+", zone.name))
    except OSError:
        packages = []
    if not packages:
        raise LatencyError(f"energy: this machine has no meter of its processor (no intel-rapl in {POWERCAP})")
    ranges, before = [_read(zone / "max_energy_range_uj") for zone in packages], [_counted(zone) for zone in packages]
    total = 0

    def joules() -> float:
        nonlocal total
        for number, zone in enumerate(packages):
            now = _counted(zone)
            total += (now - before[number]) % (ranges[number] + 1)  # a counter that is full begins anew
            before[number] = now
        return total / 1e6

    return joules


def of_gpu(index: int) -> Meter:
    """The GPU that torch gives a number: NVML counts those that torch may not see, too, and knows it by its UUID.
    Raises `LatencyError` where NVML is not installed, or its driver tells nothing.
    """
    if find_spec("pynvml") is None:
        raise LatencyError("energy: NVML is not installed: pip install nvidia-ml-py")
    pynvml: Any = import_module("pynvml")  # it has no types

    try:
        pynvml.nvmlInit()
        gpu = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(index).uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    except pynvml.NVMLError as fault:
        raise LatencyError(f"energy: GPU {index} has no meter ({fault})") from None
    return lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1e3


def by(meter: Meter) -> Clock:
    """What "times" a pass by the joules that it takes, as a whole: it is repeated for a while, and counted from one
    move of the meter to another, since between two moves a meter tells nothing.

    Raises `LatencyError` for a meter that stands still.
    """

    def metered(forward: Forward) -> list[float]:
        moves: list[tuple[int, float]] = []
        started, passes, last = time.perf_counter(), 0, meter()
        while len(moves) <= MOVES or time.perf_counter() - started < LEAST:
            finish(forward)
            passes += 1
            if (now := meter()) != last:
                moves.append((passes, now))
                last = now
            elif time.perf_counter() - started > MOST:
                raise LatencyError(
                    f"energy: the meter moved {len(moves)} times in {MOST:g} s; allowed: more than {MOVES}"
                )
        (first, low), (end, high) = moves[0], moves[-1]
        return [(high - low) / (end - first)]

    return metered


def _counted(zone: Path) -> int:
    return _read(zone / "energy_uj")


def _read(file: Path) -> int:
    try:
        return int(file.read_text(encoding="ascii"))
    except PermissionError:
        raise LatencyError(f"energy: {file} may be read by root alone") from None
    except (OSError, ValueError) as fault:
        raise LatencyError(f"energy: {file}: no count of microjoules ({fault})") from None
