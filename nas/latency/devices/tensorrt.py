"""A GPU, with TensorRT: every model becomes an engine of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from nas.latency.devices._engines import Engines, library
from nas.latency.devices._exported import content_of
from nas.latency.devices._gpu import OnGpu
from nas.latency.timing import Forward


@final
@dataclass(frozen=True, kw_only=True)
class TensorRt(OnGpu):
    """Models written as ONNX in the precision that is asked for, each built for one size of batch, which takes long;
    timed as a whole. Products of float32 are in float32, not in TF32.

    Engines are built once, and not several times as sessions of onnxruntime are: the same model would get the same
    kernels again, since those of equal layers are chosen once.
    """

    in_onnx: ClassVar[bool] = True

    @property
    @override
    def versions(self) -> Mapping[str, str]:
        return {"tensorrt": str(library().__version__)}

    @override
    def check(self) -> None:
        super().check()
        library()

    @override
    def stream(self) -> torch.cuda.Stream:
        # In torch's default stream, TensorRT would wait for the whole GPU again and again.
        return torch.cuda.Stream(self.index)  # type: ignore[no-untyped-call]

    @override
    def prepared(self, model: nn.Module) -> nn.Module:
        _, dtype = self.place
        return model.to(dtype)

    @override
    def images(self, images: Tensor) -> Tensor:
        return images.to(*self.place)

    @override
    def ready(self, passes: Sequence[Forward]) -> Sequence[Forward]:
        engines = Engines()
        return [replace(one, steps=(engines.running(content_of(one), one.inputs, one.name),)) for one in passes]
