"""A captured program with the axes of every value in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, fx
from typing_extensions import override

from nas.supernets.derived.algebra import Axis, Dims, fix, new
from nas.supernets.derived.program import BATCH, Program
from nas.supernets.derived.reading import Contraction, Reader
from nas.supernets.derived.rules import RULES, unknown

OUTPUT = "the output"
"""Why the classes, or whatever else a model gives, stay."""


@final
@dataclass(frozen=True)
class Labels:
    """`state` has the dimensions of parameters and buffers by name; `values` those of each node, a list of them where
    it gives several, and `images` the nodes that follow from the image; `normed` are dimensions that norms, means
    and the like of activations run over, `summed` those of sums; `batch` is the axis of images.
    """

    state: Mapping[str, list[Dims]]
    values: Mapping[str, Any]
    images: frozenset[str]
    contractions: tuple[Contraction, ...]
    normed: tuple[Dims, ...]
    summed: tuple[Dims, ...]
    batch: Axis


def label(program: Program, known: Mapping[str, list[Dims]] | None = None) -> Labels:
    """Run a program without values, and find the axes of all that it computes; `known` are those of the state, by
    another program of the same model.
    """
    reader = Reader(RULES, unknown)
    tensors, batch = dict(program.tensors), Axis(BATCH)
    state: dict[str, list[Dims]] = {}
    for placeholder, (kind, name) in program.inputs.items():
        tensor = tensors[placeholder] = program.tensors[placeholder].detach().to("meta")
        if kind == "image":
            dims = [[batch], *new(tensor.shape[1:], "the image")]
        else:
            # Modules may share a parameter, each by a name of its own.
            reason = "a constant" if kind == "constant" else ""
            dims = (known or {}).get(name) or state.get(name) or new(tensor.shape, reason)
        reader.label(tensor, dims, of_image=kind == "image")
        if kind in ("parameter", "buffer"):
            state[name] = dims
    placeholders = [node for node in program.code.graph.nodes if node.op == "placeholder"]
    read = {program.inputs[node.name] for node in placeholders if node.users}
    for node in placeholders:
        if program.inputs[node.name] not in read:
            for dim in reader.dims(tensors[node.name]):
                fix(dim, "nothing reads it")
    run = _Run(program.code, reader)
    with torch.no_grad(), torch.device("meta"), reader:
        run.run(*(tensors[node.name] for node in placeholders))
    for dim in run.values[program.output][1:]:
        fix(dim, OUTPUT)
    return Labels(
        state,
        run.values,
        frozenset(run.images),
        tuple(reader.contractions),
        tuple(reader.normed),
        tuple(reader.summed),
        batch,
    )


@final
class _Run(fx.Interpreter):
    """Tells the reader which node is under way, and keeps what it says of each."""

    def __init__(self, code: fx.GraphModule, reader: Reader) -> None:
        super().__init__(code)
        self.values: dict[str, Any] = {}
        self.images: set[str] = set()
        self._reader = reader

    @override
    def fetch_args_kwargs_from_env(self, n: fx.Node) -> Any:
        """Nothing has values here, wherever the model was captured."""
        return fx.node.map_aggregate(super().fetch_args_kwargs_from_env(n), _without_values)

    @override
    def run_node(self, n: fx.Node) -> Any:
        self._reader.place = n.name
        result = super().run_node(n)
        tensors = result if isinstance(result, tuple | list) else [result]
        dims = [self._reader.dims(tensor) if isinstance(tensor, Tensor) else None for tensor in tensors]
        self.values[n.name] = dims if isinstance(result, tuple | list) else dims[0]
        if any(isinstance(tensor, Tensor) and not self._reader.learned(tensor) for tensor in tensors):
            self.images.add(n.name)
        return result


def _without_values(value: Any) -> Any:
    return torch.device("meta") if isinstance(value, torch.device) else value
