"""This machine's processor, with torch."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from nas.errors import LatencyError
from nas.latency.devices._base import OnProcessor
from nas.latency.timing import Forward


@final
@dataclass(frozen=True, kw_only=True)
class CpuTorch(OnProcessor):
    """Eager torch, or compiled.

    precision   of weights and activations
    compile     whether torch.compile makes kernels for each model: it needs a C++ compiler, and some seconds for each.
                Then models are timed as a whole
    """

    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False

    @property
    @override
    def stepwise(self) -> bool:
        return not self.compile

    @property
    @override
    def versions(self) -> Mapping[str, str]:
        return {"torch": torch.__version__}

    @override
    def check(self) -> None:
        if self.compile and not (shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")):
            raise LatencyError("device cpu_torch: compile needs a C++ compiler, and there is none; set compile: false")

    @override
    def prepared(self, model: nn.Module) -> nn.Module:
        return model.to(getattr(torch, self.precision))

    @override
    def images(self, images: Tensor) -> Tensor:
        return images.to(getattr(torch, self.precision))

    @override
    @contextlib.contextmanager
    def ready(self, passes: Sequence[Forward]) -> Iterator[Sequence[Forward]]:
        yield [compiled(one) for one in passes] if self.compile else passes


def compiled(forward: Forward) -> Forward:
    """A pass whose steps run as torch.compile makes them."""
    steps: list[Any] = [torch.compile(step) for step in forward.steps]
    return replace(forward, steps=tuple(steps))
