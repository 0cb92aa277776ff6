"""This machine's processor, with OpenVINO."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, ClassVar, final

from torch import Tensor
from typing_extensions import override

from nas.errors import LatencyError
from nas.latency.devices._base import OnProcessor
from nas.latency.devices._exported import content_of
from nas.latency.timing import Clock, Forward, by_wall


@final
@dataclass(frozen=True, kw_only=True)
class OpenVino(OnProcessor):
    """Models in float32, written as ONNX first, each step once, which takes some seconds; timed as a whole."""

    in_onnx: ClassVar[bool] = True

    @property
    @override
    def versions(self) -> Mapping[str, str]:
        self.check()
        return {"openvino": version("openvino")}

    @property
    @override
    def clock(self) -> Clock:
        return by_wall  # its threads are its own, and not the one that asks

    @override
    def check(self) -> None:
        if find_spec("openvino") is None:
            raise LatencyError("device openvino: not installed: pip install openvino")

    @override
    def copies(self, passes: Sequence[Forward]) -> Iterator[Sequence[Forward]]:
        yield [replace(one, steps=(_run(content_of(one), one.inputs, self.used_threads),)) for one in passes]


def _run(content: bytes, images: Tensor, threads: int) -> Callable[[Any], Any]:
    import openvino

    core: Any = openvino.Core()
    # A fixed shape: what is deployed for one size of batch is compiled for it.
    model = core.read_model(content)
    model.reshape(list(images.shape))
    options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", options).create_infer_request()
    request.set_input_tensor(openvino.Tensor(images.numpy().copy()))
    return lambda _: request.infer()
