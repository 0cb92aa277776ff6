"""Models as ONNX files that are put together from those of their steps. To export a step takes seconds, and
sub-networks have most of their steps in common: those of `deit_tiny` have 14 in all.

What onnxruntime makes of the whole is the same as of a model that was exported in one, operation by operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from nas.deployment import onnx_file

if TYPE_CHECKING:
    from onnx import ModelProto

OUTPUT = "logits"
"""Name of the output."""


@final
class OnnxStep(nn.Module):
    """A step of a model, or all of it, as a module of its own. It is written when its file is first asked for, and
    holds its model no longer then.

    model   that the step is of
    run     what it computes
    takes   the shape of what goes into it, without the batch
    """

    def __init__(self, model: nn.Module, run: Callable[[Tensor], Tensor], takes: Sequence[int]) -> None:
        super().__init__()
        self.model, self.run, self.takes = model, run, tuple(takes)
        self._written: bytes | None = None

    @override
    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)

    def written(self, dtype: torch.dtype) -> bytes:
        """Its file, in the precision of its model. Raises `DeploymentError` where torch cannot."""
        if self._written is None:
            example = torch.zeros(2, *self.takes, dtype=dtype)
            file: ModelProto = onnx_file.program(self, example, [OUTPUT]).model_proto
            self._written = file.SerializeToString()
            del self.model, self.run
        return self._written


def chained(files: Sequence[bytes]) -> bytes:
    """One file of several, each of which takes what the one before it gives."""
    import onnx
    from onnx.compose import add_prefix, merge_models

    whole, *others = (add_prefix(onnx.load_from_string(file), f"{place}/") for place, file in enumerate(files))
    for other in others:
        whole = merge_models(whole, other, io_map=[(whole.graph.output[0].name, other.graph.input[0].name)])
    _rename(whole, {whole.graph.input[0].name: onnx_file.INPUT, whole.graph.output[0].name: OUTPUT})
    file: bytes = whole.SerializeToString()
    return file


def _rename(model: ModelProto, names: dict[str, str]) -> None:
    """Other names for what goes in and what comes out."""
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        for edges in (node.input, node.output):
            edges[:] = [names.get(name, name) for name in edges]
