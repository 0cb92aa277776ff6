"""What devices that run torch share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from nas.latency.devices._base import Device
from nas.latency.timing import Forward

BUILDS = 4
"""Copies of an eager model that are timed."""


@dataclass(frozen=True, kw_only=True)
class OfTorch(Device):
    """Eager torch, or compiled.

    compile   whether torch.compile makes kernels for each model, which takes some seconds for each; then models are
              timed as a whole
    """

    compile: bool = False

    @property
    @override
    def stepwise(self) -> bool:
        return not self.compile

    @property
    @override
    def builds(self) -> int:
        return 1 if self.compile else BUILDS

    @property
    @abstractmethod
    def place(self) -> tuple[torch.device, torch.dtype]:
        """Where models and images are, and in which precision."""

    @override
    def prepared(self, model: nn.Module) -> nn.Module:
        device, dtype = self.place
        return model.to(device, dtype)

    @override
    def images(self, images: Tensor) -> Tensor:
        return images.to(*self.place)

    def made(self, passes: Sequence[Forward]) -> Sequence[Forward]:
        """The passes as they run: eager, or as torch.compile makes them."""
        return [_compiled(one) for one in passes] if self.compile else passes


def _compiled(forward: Forward) -> Forward:
    steps: list[Any] = [torch.compile(step) for step in forward.steps]
    return replace(forward, steps=tuple(steps))
