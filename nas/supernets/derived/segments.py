"""A captured graph in segments that run one after the other; a block that may be left out is a segment of its own.

Each is compiled once. What changes with the sub-network is handed to it: parameters, and the sizes that its constants
follow (see `nas.supernets.derived.lengths`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, final

import torch
from torch import fx, nn

from nas.supernets.derived.blocks import block_of
from nas.supernets.derived.factors import INNER, inner_path, matrices_in, with_inner
from nas.supernets.derived.lengths import Dimensions, Length, with_lengths
from nas.supernets.derived.program import Program


@final
@dataclass(frozen=True)
class Segment:
    """`run(lengths, device, *values)` computes the values called `gives` from those called `reads`.

    matrices   those that may be factored: name in the state dict -> how it is called among `reads`
    block      index of the block that it is, where it may be left out; then what it gives is what is called `passes`
    frees      values that no later segment reads
    """

    run: Callable[..., Any]
    graph: fx.Graph
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    matrices: Mapping[str, str]
    block: str
    passes: str
    frees: tuple[str, ...]

    def factoring(self, matrices: frozenset[str]) -> Segment:
        """The same, where some matrices, by name in the state dict, are two; it reads their inner factors too."""
        names = [name for name in self.reads if name in {self.matrices[matrix] for matrix in matrices}]
        graph = with_inner(self.graph, names)
        reads = (*self.reads, *(f"{name}{INNER}" for name in names))
        return replace(self, run=_compiled(graph), graph=graph, reads=reads)


@final
@dataclass(frozen=True)
class Segments:
    """All of a program: `lengths` are those that segments are handed, `states` are placeholder -> name in the state
    dict (or of a constant, or of an inner factor), `image` is the placeholder of the images, `output` the value that is
    the model's.
    """

    all: tuple[Segment, ...]
    lengths: tuple[Length, ...]
    states: Mapping[str, str]
    image: str
    output: str
    _factoring: dict[tuple[int, frozenset[str]], Segment] = field(default_factory=dict)

    def running(self, factored: frozenset[str]) -> list[Segment]:
        """All segments, of a sub-network that has these matrices factored."""
        return [self._of(number, factored) for number in range(len(self.all))] if factored else list(self.all)

    def _of(self, number: int, factored: frozenset[str]) -> Segment:
        segment = self.all[number]
        here = factored.intersection(segment.matrices)
        if here and (number, here) not in self._factoring:
            self._factoring[number, here] = segment.factoring(here)
        return self._factoring[number, here] if here else segment


def cut_in_segments(
    program: Program, dims: Dimensions, blocks: Mapping[str, str], passes: Mapping[str, str], full: Callable[[str], int]
) -> Segments:
    """`blocks` are those that may be left out, by index; `passes` has for each the value that stands for its own."""
    nodes = list(program.nodes())
    runs = [(index, list(run)) for index, run in groupby(nodes, lambda node: block_of(node, blocks))]
    lengths: dict[Length, int] = {}
    states = {name: state for name, (kind, state) in program.inputs.items() if kind != "image"}
    matrices = matrices_in(program.code.graph, states)
    segments = []
    alive: set[str] = {program.output}
    for index, run in reversed(runs):
        inside = {node.name for node in run}
        reads = tuple(dict.fromkeys(n.name for node in run for n in node.all_input_nodes if n.name not in inside))
        gives = tuple(node.name for node in run if node.name in alive)
        graph = _graph(run, reads, gives, lambda node: with_lengths(node, dims, full), lengths)
        frees = tuple(name for name in (*reads, *gives) if name not in alive and name not in states)
        alive |= set(reads)
        own = {matrices[name]: name for name in reads if name in matrices}
        segments.append(Segment(_compiled(graph), graph, reads, gives, own, index, passes.get(index, ""), frees))
    image = next(name for name, (kind, _) in program.inputs.items() if kind == "image")
    states |= {f"{name}{INNER}": inner_path(matrix) for name, matrix in matrices.items()}
    return Segments(tuple(reversed(segments)), tuple(lengths), states, image, program.output)


def _compiled(graph: fx.Graph) -> Callable[..., Any]:
    return fx.GraphModule(nn.Module(), graph, class_name="Segment").forward


def _graph(
    run: list[fx.Node],
    reads: tuple[str, ...],
    gives: tuple[str, ...],
    arguments: Callable[[fx.Node], tuple[Any, list[Any], dict[str, Any]]],
    lengths: dict[Length, int],
) -> fx.Graph:
    """The graph of some nodes, whose constants are looked up in what it is handed."""
    graph = fx.Graph()
    given, device = graph.placeholder("lengths"), graph.placeholder("device")
    values = {name: graph.placeholder(name) for name in reads}
    looked_up: dict[int, fx.Node] = {}

    def copied(value: Any) -> Any:
        if isinstance(value, fx.Node):
            return values[value.name]
        if isinstance(value, Length):
            place = lengths.setdefault(value, len(lengths))
            if place not in looked_up:
                looked_up[place] = graph.call_function(operator.getitem, (given, place))
            return looked_up[place]
        return device if isinstance(value, torch.device) else value

    for node in run:
        target, positional, named = arguments(node)
        own, keywords = fx.node.map_aggregate((tuple(positional), named), copied)
        assert node.op == "call_function", f"{node.name} is a {node.op}"
        values[node.name] = graph.call_function(target, tuple(own), keywords)
    graph.output(tuple(values[name] for name in gives))
    return graph
