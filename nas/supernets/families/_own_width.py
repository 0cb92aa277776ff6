"""Attention of timm's that takes the width of its heads for that of its input, with a width of its own.

Such a class ends in `.reshape(B, N, C)`, with C from its input. Its own forward is traced into a torch.fx graph, in
which the width of the heads stands for C: extracted models hold no class of ours (see `nas.supernets.gather`). What the
graph was not traced for, another mask or size of windows, it does not compute.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor, fx, nn

from nas.supernets.families._queries import EveryLayerIsALeaf

KEPT = 256
_GRAPHS: dict[Hashable, fx.Graph] = {}
"""By kind of attention and its settings: tracing takes milliseconds. As many as that are kept."""


def own_width(attn: nn.Module, width: int, absent: tuple[str, ...], class_name: str) -> fx.GraphModule:
    """`attn`, whose parameters and `num_heads` are cut, with heads that are `width` wide together; its layers are
    shared. `absent` are the arguments of its forward that are always None.
    """
    key = type(attn), tuple(sorted(_settings(attn).items())), width, absent
    if key not in _GRAPHS:
        if len(_GRAPHS) >= KEPT:
            _GRAPHS.clear()
        _GRAPHS[key] = _traced(attn, width, absent)
    root: dict[str, Any] = dict(attn.named_children())
    for module_path, module in attn.named_modules():
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None:
                root[f"{module_path}.{name}".removeprefix(".")] = tensor
    if isinstance(root.get("k_bias"), Tensor):
        root["k_bias"] = root["k_bias"][:width]  # zeros between the biases of queries and of values
    module_of_graph = fx.GraphModule(root, _GRAPHS[key], class_name=class_name)
    module_of_graph.training = attn.training
    return module_of_graph


def _settings(attn: Any) -> dict[str, str]:
    """What its forward asks of it, beside tensors."""
    plain = {key: value for key, value in vars(attn).items() if isinstance(value, bool | int | float | tuple)}
    absent = {name: tensor is None for name, tensor in (*attn._parameters.items(), *attn._buffers.items())}
    asked = {**plain, **absent, "dropout": attn.attn_drop.p > 0, "training": None}
    return {key: repr(value) for key, value in asked.items()}


class _Tracer(EveryLayerIsALeaf):
    proxy_buffer_attributes = True


def _traced(attn: nn.Module, width: int, absent: tuple[str, ...]) -> fx.Graph:
    # Traced on a twin with parameters: slices that want a gradient are none, and would become constants.
    twin: Any = _twin(attn)
    # A graph cannot ask for the mode; the dropout layer of the written-out attention can.
    twin.fused_attn = getattr(twin, "fused_attn", False) and not twin.attn_drop.p > 0
    tracer = _Tracer()
    graph = tracer.trace(twin, concrete_args=dict.fromkeys(absent))
    x, *others = (node for node in graph.nodes if node.op == "placeholder")
    for node, argument in zip(others, absent, strict=False):
        # The tracer gives what is None another name, under which nobody passes it.
        node.target, node.args = argument, (None,)
    for node in graph.nodes:
        if node.op == "call_method" and node.target == "reshape" and _is_channels(node.args[-1], x):
            node.args = (*node.args[:-1], width)
    graph.lint()
    return graph


def _is_channels(size: Any, x: fx.Node) -> bool:
    """Whether a size in a graph is the last one of the input's three."""
    if not isinstance(size, fx.Node) or size.args[1:] != (2,):
        return False
    shape: Any = size.args[0]
    return bool(shape.args[:1] == (x,) and shape.args[1:] == ("shape",))


def _twin(module: nn.Module) -> nn.Module:
    twin: nn.Module = object.__new__(type(module))
    twin.__dict__ = vars(module).copy()
    twin._parameters = {
        name: tensor if tensor is None else nn.Parameter(torch.empty_like(tensor, device="meta"), requires_grad=False)
        for name, tensor in module._parameters.items()
    }
    twin._modules = {name: child and _twin(child) for name, child in module._modules.items()}
    return twin
