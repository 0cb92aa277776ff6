"""A device that counts operations, so that predictions can be exact, and tables that nobody had to measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.flop_counter import FlopCounterMode
from typing_extensions import override

from nas import SearchSpace
from nas.latency.devices import Device, options_of
from nas.latency.devices.cpu_torch import CpuTorch
from nas.latency.table import FORMAT, Accuracy, Conditions, LatencyTable, TimeLookup
from nas.latency.timing import Forward, StepTime
from nas.supernets.models.int8 import RoundedLinear
from nas.supernets.of_space import fingerprint
from nas.system.environment import describe

UNIT = 1000
"""Nanoseconds of each unit of each choice."""
CONSTANT = 20_000


@final
@dataclass(frozen=True, kw_only=True)
class Counting(Device):
    """A microsecond for a thousand operations.

    in_steps   whether it tells what steps take
    more       share by which operations in int8 take longer
    """

    in_steps: bool = True
    more: float = 0.0

    @property
    @override
    def stepwise(self) -> bool:
        return self.in_steps

    @property
    @override
    def about(self) -> Mapping[str, str]:
        return {"processor": "one that counts"}

    @override
    def time(self, passes: Sequence[Forward], seconds: float = 0) -> list[list[StepTime]]:
        narrow: list[int] = []

        def keep(layer: nn.Module, inputs: Any, outputs: Tensor) -> None:
            if isinstance(layer, RoundedLinear):
                narrow.append(2 * inputs[0].numel() * outputs.shape[-1])

        times = []
        for one in passes:
            x, steps = one.inputs.clone(), []
            for step in one.steps:
                narrow.clear()
                hook = register_module_forward_hook(keep)
                with torch.inference_mode(False), torch.no_grad(), FlopCounterMode(display=False) as counter:
                    x = step(x)
                hook.remove()
                operations = counter.get_total_flops() + self.more * sum(narrow)
                steps.append(StepTime(1e-6 * operations, 0.0))
            times.append(steps)
        return times


def by_units(space: SearchSpace, unit: int = UNIT) -> LatencyTable:
    """Every unit that stays takes as long."""
    lookups = tuple(
        TimeLookup((choice.name,), tuple(unit * sum(sizes.values()) for sizes in choice.sizes))
        for choice in space.values()
    )
    device = CpuTorch(threads=1, batch=2)
    return LatencyTable(
        format=FORMAT,
        model=space.model,
        space=fingerprint(space),
        lengths={choice.name: len(choice.values) for choice in space.values()},
        base=CONSTANT + sum(lookup.values[-1] for lookup in lookups),
        constant=CONSTANT,
        lookups=lookups,
        conditions=Conditions(options_of(device), dict(device.about), (1, 8, 8), describe(), 30, 0.01),
        accuracy=Accuracy(20, 0.02, 0.05, 0.9, 0.01),
    )
