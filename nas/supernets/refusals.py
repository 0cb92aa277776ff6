"""Methods of timm's models that give wrong answers once tokens were chosen: they refuse instead, in one line.

An extracted model holds no class of ours and runs where `nas` is not installed, so what refuses is torch's own class
for a layer of one operation (see `nas.supernets.gather`): an assertion that fails, with a message.
"""

from __future__ import annotations

import operator
from functools import lru_cache

import torch
from torch import fx, nn

ADDED = "__prepare_scriptable__"
"""What `torch.jit.script` calls on a model before anything else, where it is there."""


def refuse_resizing(model: nn.Module) -> None:
    """For a model whose blocks compute fixed positions: these are those of one grid."""
    _refuse(
        model,
        "set_input_size",
        "set_input_size: this model computes chosen positions of one grid of patches; search again at the other size",
    )


def refuse_other_grids(model: nn.Module) -> None:
    """For a model with attention that is written out for the places of one grid."""
    _refuse(
        model,
        "set_input_size",
        "set_input_size: attention of this model is written for one grid of patches; search again at the other size",
    )


GRAPH = "this model is a captured graph, which has no modules to ask; search a class that `nas models` lists as by hand"
"""Why a model from a graph answers no question about its parts."""


def refuse_parts(model: nn.Module) -> None:
    """For a model that runs as one graph: what timm's classes say of their parts, and do with other image sizes."""
    for method in ("forward_features", "forward_head", "forward_intermediates", "prune_intermediate_layers"):
        _refuse(model, method, f"{method}: {GRAPH}")
    _refuse(
        model,
        "set_input_size",
        "set_input_size: this model is a graph, captured for one size of images; search again at the other size",
    )


def refuse_scripting(model: nn.Module) -> None:
    """For a model with layers that `torch.jit.script` cannot read."""
    _refuse(
        model,
        ADDED,
        "torch.jit.script: this model chooses tokens by layers that cannot be scripted; use torch.export or "
        "torch.jit.trace, which give the same outputs",
    )


def refuse_maps(model: nn.Module) -> None:
    """For a model whose blocks see fewer tokens than patches: they would fold into a map of the wrong places."""
    _refuse(
        model,
        "forward_intermediates",
        "forward_intermediates: this model drops tokens, so that what its blocks give is no map of the image; choose "
        "queries without drop: true, which keep all tokens",
    )


def _refuse(model: nn.Module, method: str, reason: str) -> None:
    # An entry of the instance stands before the class's method, and is no child module: no state dict, no `to`.
    vars(model)[method] = _refusal(reason)


@lru_cache(maxsize=16)
def _refusal(reason: str) -> fx.GraphModule:
    """A module that takes whatever it is given, and raises AssertionError."""
    graph = fx.Graph()
    arguments = graph.placeholder("*args")
    graph.placeholder("**kwargs")
    # Never true, but not a constant: a graph that is unpickled is traced, and must not fail then.
    never = graph.call_function(operator.eq, (arguments, None))
    graph.call_function(torch._assert, (never, reason))
    graph.output(None)
    return fx.GraphModule(nn.Module(), graph, class_name="Refusal")
