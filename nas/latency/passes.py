"""The passes of sub-networks on a device: step by step or as a whole, as many in turns as fit into memory."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import final

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nas.deployment.integers import in_integers
from nas.errors import LatencyAwaitedError, LatencyError
from nas.latency.copies import Sitting, of_all, together
from nas.latency.correcting import Work
from nas.latency.design import Signature, Signatures, held
from nas.latency.devices import Device
from nas.latency.onnx_steps import OnnxStep
from nas.latency.timing import SECONDS, Forward, StepTime
from nas.searchspaces import Architecture
from nas.supernets import Supernet
from nas.supernets.int8_weights import rounding

MOST_NOISE = 0.05
"""A machine whose times differ more from one measurement to the next is busy with something else."""
MOST_DRIFT = 0.1
"""One that gets slower, or faster, by more while it is measured is throttled, or was busy for a part of it."""
MODELS = 4
"""Whole models among the sub-networks, since all shares are of their time; one on a device that is somewhere else."""
AT_ONCE = 2**32
"""Bytes of the sub-networks that are timed in turns; more are timed one part after the other."""


@final
@dataclass(frozen=True)
class TimedPasses:
    """What the steps of some sub-networks take, what others take as a whole, in their order, and what the whole model
    takes.
    """

    steps: list[list[StepTime]]
    whole: list[StepTime]
    model: StepTime


@final
@dataclass(frozen=True, eq=False)
class Passes:
    """The passes of a supernet's sub-networks on a device, all through the same images (B x C x H x W, on the
    processor). With `energy`, joules are measured in the place of seconds.
    """

    supernet: Supernet
    device: Device
    images: Tensor
    energy: bool = False
    _known: dict[Signature, OnnxStep] = field(default_factory=dict, init=False, repr=False)

    def timed(
        self, stepwise: Sequence[Architecture], whole: Sequence[Architecture], seconds: float = SECONDS
    ) -> TimedPasses:
        """All take turns, as many as fit into memory, about `seconds` for these.

        Raises `LatencyError` as `Device.time` does; where it awaits times, when it has heard of all passes.
        """
        model_bytes = sum(tensor.nbytes for tensor in self.supernet.model.parameters())
        every: list[tuple[int, Callable[[], Forward]]] = [
            *((held(one, self.supernet), partial(self._forward, one, in_steps=True)) for one in stepwise),
            *((held(one, self.supernet), partial(self._forward, one, in_steps=False)) for one in whole),
            *([(model_bytes, self._model)] * (MODELS if self.device.here else 1)),
        ]
        found = self._timed(every, seconds)
        wholes = [steps[0] for steps in found[len(stepwise) : len(stepwise) + len(whole)]]
        models = [steps[0] for steps in found[len(stepwise) + len(whole) :]]
        return TimedPasses(found[: len(stepwise)], wholes, together(models, [1.0] * len(models)))

    @property
    def _copies(self) -> int:
        """How often each pass is made anew. Where in memory a model lies changes nothing of its joules."""
        return 1 if self.energy else self.device.builds

    def _timed(self, every: Sequence[tuple[int, Callable[[], Forward]]], seconds: float) -> list[list[StepTime]]:
        """What the steps of passes take, of which it is known how many bytes they hold and how they are made. Those of
        a sitting are drawn anew for each copy, so that all sittings have passes in common.
        """
        time, rng = self.device.metered if self.energy else self.device.time, np.random.default_rng(0)
        sittings: list[Sitting] = []
        awaited: list[LatencyAwaitedError] = []
        for _ in range(self._copies):
            order = rng.permutation(len(every)).tolist()
            for part in parts([every[number][0] for number in order]):
                numbers = [order[position] for position in part]
                try:
                    times = time([every[number][1]() for number in numbers], seconds / self._copies)
                except LatencyAwaitedError as error:
                    awaited.append(error)
                else:
                    sittings.append(Sitting(numbers, times))
        if awaited:
            raise awaited[0]
        return of_all(sittings)

    def work(self, architecture: Architecture) -> list[Work]:
        """Of each step of a sub-network."""
        found: list[Work] = []
        subnet: nn.Module = self.supernet.extract(architecture).eval()
        with torch.inference_mode(False), torch.no_grad(), rounding(subnet) as rounded:
            x = self.images.clone()
            for _, step in self.supernet.steps(subnet, architecture):
                rounded.clear()
                with FlopCounterMode(display=False) as counter:
                    x = step.run(x)
                operations = 2.0 * sum(layer.macs for layer in rounded)
                numbers = float(sum(layer.numbers for layer in rounded))
                found.append((counter.get_total_flops() - operations, operations, float(x.numel()), numbers, 1.0))
        return found

    @cached_property
    def signatures(self) -> Signatures:
        """Of the steps of sub-networks."""
        return Signatures(self.supernet, self.images[:1])

    def _forward(self, architecture: Architecture, *, in_steps: bool) -> Forward:
        images, extracted = self.device.images(self.images), partial(self.supernet.extract, architecture)
        if self.device.in_onnx:
            return Forward(images, self._onnx_steps(extracted, self.signatures.of(architecture)), architecture.digest)
        subnet = self.device.prepared(extracted().eval())
        runs = [step.run for _, step in self.supernet.steps(subnet, architecture)] if in_steps else [subnet]
        return Forward(images, tuple(runs), architecture.digest)

    def _model(self) -> Forward:
        images, copied = self.device.images(self.images), partial(copy.deepcopy, self.supernet.model)
        if self.device.in_onnx:
            return Forward(images, self._onnx_steps(copied, self.signatures.model), "model")
        return Forward(images, (self.device.prepared(copied().eval()),), "model")

    def _onnx_steps(
        self, made: Callable[[], nn.Module], signatures: Mapping[tuple[str, ...], Signature]
    ) -> tuple[OnnxStep, ...]:
        """The steps of a model, which is made where it has new ones. Those of one signature are one file, with the
        weights of the first model that has it: times do not depend on them.
        """
        if not self._known.keys() >= set(signatures.values()):
            model = in_integers(self.device.prepared(made().eval()))
            for step, signature in zip(self.supernet.family.steps(model), signatures.values(), strict=True):
                if signature not in self._known:
                    self._known[signature] = OnnxStep(model, step.run, signature.takes)
        return tuple(self._known[signature] for signature in signatures.values())


def noise_of(timed: Sequence[StepTime]) -> float:
    """Of typical times. Raises `LatencyError` where it says that the machine is busy, or throttled."""
    noise, drift = (float(np.median(of)) for of in zip(*((one.noise, one.drift) for one in timed), strict=True))
    if abs(drift) > MOST_DRIFT:
        change = f"{100 * abs(drift):.0f} % {'longer' if drift > 0 else 'less'}"
        raise LatencyError(
            f"the same computations took {change} in the second half of the measurement; allowed: "
            f"{100 * MOST_DRIFT:.0f} %: the device is throttled, or was busy for a while; measure again when it rests"
        )
    if noise > MOST_NOISE:
        raise LatencyError(
            f"the same computation, timed again, takes {100 * noise:.0f} % more or less; allowed: "
            f"{100 * MOST_NOISE:.0f} %: end what else runs on this machine, and measure again"
        )
    return noise


def parts(sizes: Sequence[int]) -> list[list[int]]:
    """Positions of what is timed together: in as few parts as fit into `AT_ONCE` each, about, and alike in size. All
    have the same time, and of a pass that has few beside it nobody could tell the machine's pace.
    """
    total = max(1, sum(sizes))
    number = math.ceil(total / AT_ONCE)
    middles = np.cumsum(sizes) - np.array(sizes) / 2
    part = (middles * number / total).astype(int)
    return [np.flatnonzero(part == one).tolist() for one in np.unique(part)]
