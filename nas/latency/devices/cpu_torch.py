"""This machine's processor, with torch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from typing_extensions import override

from nas.errors import LatencyError
from nas.latency.devices._base import OnProcessor
from nas.latency.devices._torch import OfTorch
from nas.latency.timing import Forward


@final
@dataclass(frozen=True, kw_only=True)
class CpuTorch(OfTorch, OnProcessor):
    """Eager torch, or compiled, which needs a C++ compiler.

    precision   of weights and activations
    """

    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    @override
    def versions(self) -> Mapping[str, str]:
        return {"torch": torch.__version__}

    @property
    @override
    def place(self) -> tuple[torch.device, torch.dtype]:
        return torch.device("cpu"), getattr(torch, self.precision)

    @override
    def check(self) -> None:
        if self.compile and not (shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")):
            raise LatencyError("device cpu_torch: compile needs a C++ compiler, and there is none; set compile: false")

    @override
    def copies(self, passes: Sequence[Forward]) -> Iterator[Sequence[Forward]]:
        yield self.made(passes)
