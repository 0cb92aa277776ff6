"""Matrices of a captured model that may be run as two of lower rank: which they are, what their ranks are called, and
the graph that runs both.

They are linear layers of one block that are applied once. Where one is factored, two layers stand in its place, as in
models of classes: `PATH.0` holds the inner factor, `PATH.1` the outer one and the bias.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Container, Mapping
from typing import Any

import torch
from torch import fx, nn

from nas.searchspaces.axis_names import axis_name, rank_of
from nas.supernets.derived.blocks import index_at
from nas.supernets.derived.program import Program

LINEAR = torch.ops.aten.linear.default
WEIGHT, INNER = ".weight", "_inner"


def ranks_of(model: nn.Module, program: Program, applied: Container[str], blocks: Mapping[str, str]) -> dict[str, str]:
    """Parameter -> axis of its rank, of all matrices that may be factored; `applied` are those that belong to one
    product. An axis is called by the layer, "fc1_rank.3", and by more of its path where that is not enough.
    """
    states = {name: state for name, (kind, state) in program.inputs.items() if kind == "parameter"}
    inside: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    for name in matrices_in(program.code.graph, states).values():
        index = index_at(name, blocks)
        if index and name in applied and _is_layer(model.get_submodule(name.removesuffix(WEIGHT))):
            path = name.removeprefix(f"{blocks[index]}.").removesuffix(WEIGHT)
            inside[index][name] = tuple(path.split("."))
    return {
        name: axis_name(rank_of(_shortest(path, paths.values())), index)
        for index, paths in inside.items()
        for name, path in paths.items()
    }


def matrices_in(graph: fx.Graph, states: Mapping[str, str]) -> dict[str, str]:
    """Those that a graph applies as linear layers, once: the node that stands for one, and its name in the state."""
    weights = (node.args[1] for node in graph.nodes if node.target is LINEAR)
    found = (weight for weight in weights if isinstance(weight, fx.Node) and len(weight.users) == 1)
    return {
        weight.name: states[weight.name]
        for weight in found
        if weight.name in states and states[weight.name].endswith(WEIGHT)
    }


def inner_path(matrix: str) -> str:
    """Where the inner factor of a matrix is."""
    return f"{matrix.removesuffix(WEIGHT)}.0{WEIGHT}"


def located(state: str, factored: Container[str]) -> str:
    """Where a parameter is in a sub-network that has these matrices factored."""
    owner, _, leaf = state.rpartition(".")
    return f"{owner}.1.{leaf}" if f"{owner}{WEIGHT}" in factored else state


def with_inner(graph: fx.Graph, matrices: Container[str]) -> fx.Graph:
    """A graph that runs two layers in the place of one; its inputs end with the inner factors of all `matrices` (the
    nodes that stand for them), in their order in the graph.
    """
    twin = fx.Graph()
    copies: dict[fx.Node, Any] = {}
    result = twin.graph_copy(graph, copies)
    twin.output(result)
    weights = {copies[node] for node in graph.nodes if node.op == "placeholder" and node.name in matrices}
    last = next(node for node in reversed(twin.nodes) if node.op == "placeholder")
    for layer in [node for node in twin.nodes if node.target is LINEAR and node.args[1] in weights]:
        x, weight, *bias = layer.args
        assert isinstance(weight, fx.Node)
        with twin.inserting_after(last):
            last = twin.placeholder(f"{weight.name}{INNER}")
        with twin.inserting_before(layer):
            layer.args = (twin.call_function(LINEAR, (x, last)), weight, *bias)
    return twin


def _is_layer(module: nn.Module) -> bool:
    """Whether a module has nothing but a matrix and its bias, so that two may stand in its place."""
    return not module._modules and module._parameters.keys() <= {"weight", "bias"} and not module._buffers


def _shortest(path: tuple[str, ...], paths: Collection[tuple[str, ...]]) -> str:
    """The end of a path, as short as tells it from all others, as a name that begins with a letter."""
    tails = (path[start:] for start in range(len(path) - 1, -1, -1))
    alone = (
        tail for tail in tails if tail[0][0].isalpha() and sum(other[-len(tail) :] == tail for other in paths) == 1
    )
    return "_".join(next(alone, ("layer", *path)))
