"""A sub-network of a captured model as a module of its own: torch's own classes, parameters by the model's names.

Its root passes them to one of two graphs, that of evaluation or that of training. Sizes are numbers there; only the
number of images is not.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn

from nas.supernets.derived.captured import Captured
from nas.supernets.derived.factors import located
from nas.supernets.derived.lengths import IMAGES, Length
from nas.supernets.derived.segments import Segments

EVALUATING, TRAINING = "captured_evaluating", "captured_training"
"""The two graphs."""
CONSTANTS = "captured_constants"
"""Module of the tensors that the forward of a model makes by itself."""


def plain(model: Captured) -> fx.GraphModule:
    """The same computation, to the last bit, without any class of ours; it shares parameters and buffers."""
    root = nn.Module()
    _copy(model, root)
    both_segments = {training: model.graphs.segments(training=training) for training in (False, True)}
    named = {name for segments in both_segments.values() for name in segments.states.values()}
    constants = {name: model.graphs.constants[name] for name in named if name in model.graphs.constants}
    if constants:
        root.add_module(CONSTANTS, nn.Module())
    for name, tensor in constants.items():
        root.get_submodule(CONSTANTS).register_buffer(name, tensor, persistent=False)
    paths = {
        name: f"{CONSTANTS}.{name}" if name in constants else located(name, model.factored) for name in sorted(named)
    }
    states = {name: path for name, path in paths.items() if _there(root, path)}
    for name, training in ((EVALUATING, False), (TRAINING, True)):
        root.add_module(name, _flat(model, both_segments[training], list(states)))
    graph = fx.Graph()
    images = graph.placeholder("images")
    tensors = [graph.get_attr(path) for path in states.values()]
    both = graph.get_attr(EVALUATING), graph.get_attr(TRAINING)
    # A bool is a number: False takes the first one, True the second one.
    code = graph.call_function(operator.getitem, (both, graph.get_attr("training")))
    graph.output(graph.call_function(operator.call, (code, images, *tensors)))
    module = fx.GraphModule(root, graph, class_name=model.kind)
    module.train(model.training)
    return module


def _flat(model: Captured, program: Segments, states: list[str]) -> fx.GraphModule:
    """One program, without the blocks that are left out; its inputs are the images, and tensors by name."""
    graph = fx.Graph()
    images = graph.placeholder("images")
    tensors = {state: graph.placeholder(f"state_{number}") for number, state in enumerate(states)}
    values: dict[str, Any] = {program.image: images}
    values |= {name: tensors[state] for name, state in program.states.items() if state in tensors}
    count = graph.call_function(torch.ops.aten.sym_size.int, (images, 0))
    device = graph.call_function(getattr, (images, "device"))

    def size(length: Length) -> Any:
        units = length.value(model.units, 1)
        return graph.call_function(operator.mul, (count, units)) if IMAGES in length.dim else units

    for segment in program.running(model.factored):
        if segment.block in model.left_out:
            values[segment.gives[0]] = values[segment.passes]
            continue
        given, own, *inputs = (node for node in segment.graph.nodes if node.op == "placeholder")
        copies: dict[fx.Node, Any] = {own: device}
        copies |= {node: values[name] for node, name in zip(inputs, segment.reads, strict=True)}
        for node in segment.graph.nodes:
            if node.op != "call_function":
                continue
            if node.args[:1] == (given,):
                copies[node] = size(program.lengths[node.args[1]])
            else:
                arguments = fx.node.map_arg((node.args, node.kwargs), copies.__getitem__)
                copies[node] = graph.call_function(node.target, *arguments)
        (output,) = (node.args[0] for node in segment.graph.nodes if node.op == "output")
        values.update(zip(segment.gives, (copies[node] for node in output), strict=True))
    graph.output(values[program.output])
    for node in (count, device):
        if not node.users:
            graph.erase_node(node)
    return fx.GraphModule(nn.Module(), graph)


def _there(root: nn.Module, state: str) -> bool:
    """Whether a tensor is there: those of blocks that were left out are not."""
    module: Any = root
    for name in state.split("."):
        module = getattr(module, name, None)
    return isinstance(module, Tensor)


def _copy(model: nn.Module, to: nn.Module) -> None:
    """The tree of a captured model, in modules of torch's own."""
    for name, child in model._modules.items():
        if child is not None:
            own = nn.Module()
            _copy(child, own)
            if [*own.parameters(), *own.buffers()]:
                to.add_module(name, own)
    to._parameters.update(model._parameters)
    to._buffers.update(model._buffers)
    to._non_persistent_buffers_set |= model._non_persistent_buffers_set
