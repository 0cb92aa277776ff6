"""This machine's processor, with onnxruntime."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, final

from torch import Tensor
from typing_extensions import override

from nas.deployment import onnx_file
from nas.errors import LatencyError
from nas.latency.devices._base import OnProcessor
from nas.latency.devices._exported import content_of
from nas.latency.timing import Forward


@final
@dataclass(frozen=True, kw_only=True)
class OnnxRuntime(OnProcessor):
    """Models in float32, each written as ONNX first, which takes some seconds; timed as a whole."""

    @property
    @override
    def versions(self) -> Mapping[str, str]:
        self.check()
        return {"onnxruntime": version("onnxruntime")}

    @override
    def check(self) -> None:
        if find_spec("onnxruntime") is None:
            raise LatencyError("device onnxruntime: not installed: pip install 'nas[onnx]'")

    @override
    @contextlib.contextmanager
    def ready(self, passes: Sequence[Forward]) -> Iterator[Sequence[Forward]]:
        yield [replace(one, steps=(_run(content_of(one), one.inputs),)) for one in passes]


def _run(content: bytes, images: Tensor) -> Callable[[Any], Any]:
    """A pass with all that is beside it done before: what is timed is the session alone."""
    running, fed = onnx_file.running(content), {onnx_file.INPUT: images.numpy()}
    return lambda _: running.run(None, fed)
