"""This machine's processor, with onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, ClassVar, final

from torch import Tensor
from typing_extensions import override

from nas.deployment import onnx_file
from nas.errors import LatencyError
from nas.latency.devices._base import OnProcessor
from nas.latency.devices._exported import content_of
from nas.latency.timing import Forward

SESSIONS = 4
"""Of each model: what lies in memory elsewhere takes another time, and a session is made in no time."""


@final
@dataclass(frozen=True, kw_only=True)
class OnnxRuntime(OnProcessor):
    """Models in float32, written as ONNX first, each step once, which takes some seconds; timed as a whole."""

    in_onnx: ClassVar[bool] = True

    @property
    @override
    def versions(self) -> Mapping[str, str]:
        self.check()
        return {"onnxruntime": version("onnxruntime")}

    @override
    def check(self) -> None:
        if find_spec("onnxruntime") is None:
            raise LatencyError("device onnxruntime: not installed: pip install 'nas[onnx]'")

    @property
    @override
    def copied(self) -> int:
        return SESSIONS

    @override
    def copies(self, passes: Sequence[Forward]) -> Iterator[Sequence[Forward]]:
        contents = [content_of(one) for one in passes]
        for _ in range(SESSIONS):
            made = [_run(content, one.inputs) for content, one in zip(contents, passes, strict=True)]
            yield [replace(one, steps=(run,)) for one, run in zip(passes, made, strict=True)]


def _run(content: bytes, images: Tensor) -> Callable[[Any], Any]:
    """A pass with all that is beside it done before: what is timed is the session alone."""
    running, fed = onnx_file.running(content), {onnx_file.INPUT: images.numpy()}
    return lambda _: running.run(None, fed)
