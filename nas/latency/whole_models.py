"""Measured latency: all models take turns in one loop, so that what else the machine does hits all alike."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, final

import torch
from torch import nn

from nas.latency.timing import Forward, by_wall, in_turns, lasting, warmed
from nas.system.memory import memory_for

BATCHES = (1, 64)
ROUNDS = (9, 201)
"""Fewest and most rounds per batch size."""


@final
@dataclass(frozen=True)
class MedianTimes:
    """Median milliseconds per batch, by model and batch size, and under which conditions they were measured."""

    milliseconds: Mapping[str, Mapping[str, float]]
    rounds: Mapping[str, int]
    threads: int
    device: str
    note: str = field(default="median of rounds in which the models take turns")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def measure(
    models: Mapping[str, nn.Module],
    image: Sequence[int],
    *,
    device: torch.device,
    batches: Sequence[int] = BATCHES,
    seconds: float = 3.0,
) -> MedianTimes:
    """Times forward passes of `models` on random images (channels x height x width), about `seconds` per batch size.

    Raises `MemoryShortageError` for a batch that does not fit.
    """
    models = {name: model.to(device).eval() for name, model in models.items()}
    medians: dict[str, dict[str, float]] = {name: {} for name in models}
    rounds: dict[str, int] = {}
    generator = torch.Generator().manual_seed(0)
    for batch in batches:
        with memory_for(f"time batches of {batch}", "set latency.batches to smaller ones"), torch.inference_mode():
            x = torch.randn(batch, *image, generator=generator).to(device)
            passes = [Forward(x, (model,)) for model in models.values()]
            times = in_turns(passes, lasting(seconds, ROUNDS), warmed(by_wall))
        rounds[str(batch)] = len(times[0])
        for name, measured in zip(models, times, strict=True):
            medians[name][str(batch)] = 1e3 * statistics.median(sum(steps) for steps in measured)
    return MedianTimes(medians, rounds, torch.get_num_threads(), device.type)
