"""What each step of a sub-network's forward needs, found by passes of tensors without values."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, final

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from nas.footprint.live_bytes import LiveBytes, without_values
from nas.searchspaces import Architecture, SearchSpace
from nas.supernets import Supernet
from nas.supernets.chosen_steps import ChosenStep
from nas.supernets.timm_models import outlined


class StepBytes(NamedTuple):
    """What is alive when a step begins, and the most while it runs, weights and images left out; and its buffers."""

    entry: int
    live: int
    buffers: int


@final
@dataclass(frozen=True)
class Trace:
    """One pass: what its steps need, by what they read, and all that the model holds (parameters and buffers)."""

    steps: dict[tuple[str, ...], StepBytes]
    held: int

    @property
    def bytes(self) -> int:
        """All that is needed at the fullest moment, images left out."""
        return self.held + max(step.live for step in self.steps.values())


@final
class Tracer:
    """Passes of a batch of so many images (channels x height x width) through a space's sub-networks, each in the form
    in which it is extracted. Nothing is allocated and nothing is computed.
    """

    def __init__(self, space: SearchSpace, image: Sequence[int], batch: int) -> None:
        self.supernet = Supernet(outlined(space.model, space.model_args), space)
        self.supernet.eval()
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        with self._mode:
            self._images = torch.empty(batch, *image)

    def shapes(self, step: ChosenStep) -> tuple[tuple[str, object], ...]:
        """The classes and shapes of what a step computes with in the whole model, without their place in it."""
        module = _module(self.supernet.model, step)
        if module is None:
            return ((str(step.reads), None),)
        kinds = [(name, type(inner).__name__) for name, inner in module.named_modules()]
        tensors = (*module.named_parameters(), *module.named_buffers())
        return (*kinds, *((name, tuple(tensor.shape)) for name, tensor in tensors))

    def whole(self, steps: Sequence[ChosenStep]) -> Trace:
        """Of the whole model."""
        return self._trace(copy.deepcopy(self.supernet.model), steps)

    def of(self, architecture: Architecture, steps: Sequence[ChosenStep]) -> Trace:
        """Of a sub-network; steps that it has none of are left out."""
        return self._trace(self.supernet.extract(architecture), steps)

    def _trace(self, model: nn.Module, steps: Sequence[ChosenStep]) -> Trace:
        model = without_values(model.eval(), self._mode)
        tensors = [*model.parameters(), *model.buffers()]
        live = LiveBytes([*tensors, self._images])
        found: dict[tuple[str, ...], tuple[int, int]] = {}
        there = [step for step in steps if _module(model, step) is not None or len(step.reads) != 1]
        with _noted(model, there, live, found), torch.inference_mode(), self._mode, live:
            model(self._images)
        held = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in tensors}
        buffers = {step.reads: _buffers(model, step) for step in there}
        of_steps = {reads: StepBytes(*seen, buffers[reads]) for reads, seen in found.items()}
        return Trace(of_steps, sum(held.values()))


@contextmanager
def _noted(
    model: nn.Module, steps: Sequence[ChosenStep], live: LiveBytes, found: dict[tuple[str, ...], tuple[int, int]]
) -> Iterator[None]:
    """Notes what is alive when each step begins, and its peak. Steps that are one module begin and end with it; what
    lies before, between and behind these belongs to the other steps, in their order.
    """
    begun = live.now

    def end(reads: tuple[str, ...]) -> None:
        nonlocal begun
        entry, peak = found.get(reads, (begun, 0))
        found[reads] = (entry, max(peak, live.peak))
        live.restart()
        begun = live.now

    handles = []
    for before, step in pairwise((steps[0], *steps)):
        module = _module(model, step)
        if module is not None:
            handles += [
                module.register_forward_pre_hook(lambda *_, reads=before.reads: end(reads)),
                module.register_forward_hook(lambda *_, reads=step.reads: end(reads)),
            ]
    try:
        yield
        end(steps[-1].reads)
    finally:
        for handle in handles:
            handle.remove()


def _module(model: nn.Module, step: ChosenStep) -> nn.Module | None:
    """The module that a step is; None for one of several parts, or of one that this model is without."""
    if len(step.reads) != 1 or not step.reads[0]:
        return None
    try:
        return model.get_submodule(step.reads[0])
    except AttributeError:
        return None


def _buffers(model: nn.Module, step: ChosenStep) -> int:
    total = 0
    for path in step.reads:
        try:
            module = model.get_submodule(path)
        except AttributeError:  # a parameter, or a part that this model is without
            continue
        total += sum(buffer.untyped_storage().nbytes() for buffer in module.buffers())
    return total
