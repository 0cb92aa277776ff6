"""A block that computes some of its tokens only: the others pass it by unchanged, and still serve as keys and values.

It is timm's block with one thing added, the choice of rows. Written out once as a torch.fx graph over the block's own
layers, so that extracted models hold no class of ours (see `nas.supernets.gather`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

PARTS = ("norm1", "ls1", "drop_path1", "norm2", "mlp", "ls2", "drop_path2")
SPLIT, UNSPLIT = ("inner", "query", "key_value"), ("q_norm", "k_norm", "attn_drop", "norm", "proj", "proj_drop")
"""Names of a block's layers, and of its attention's: those made of the joint projection, and the others."""


def partial(block: nn.Module, index: tuple[int, ...], device: torch.device) -> fx.GraphModule:
    """`block` (timm's `Block`, batch x tokens x channels) computed for the tokens at `index` only.

    Its layers are shared, but for the query, key and value projection, which is split into the one of queries and the
    one of keys and values, whose weights are slices.
    """
    attn: Any = block.get_submodule("attn")
    inner, query, key_value = _split(attn.qkv, attn.attn_dim)
    root: dict[str, Any] = {name: block.get_submodule(name) for name in PARTS}
    root |= {"attn.inner": inner, "attn.query": query, "attn.key_value": key_value}
    root |= {f"attn.{name}": attn.get_submodule(name) for name in UNSPLIT}
    root["index"] = torch.tensor(index, dtype=torch.int64, device=device)
    graph = _graph(attn.num_heads, attn.head_dim, attn.attn_drop.p > 0)
    partial_block = fx.GraphModule(root, graph, class_name="PartialBlock")
    partial_block.training = block.training
    return partial_block


def _split(qkv: nn.Module, width: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    """What comes before the last layer of a projection, that layer's first `width` outputs, and its other ones."""
    layers: list[Any] = list(qkv.children()) if isinstance(qkv, nn.Sequential) else [qkv]
    *before, last = layers
    return nn.Sequential(*before), rows_of_layer(last, 0, width), rows_of_layer(last, width, last.weight.shape[0])


def rows_of_layer(linear: Any, start: int, stop: int) -> nn.Module:
    """A layer, of the same class, of some of a layer's outputs; its parameters are slices."""
    part: nn.Linear = type(linear)(linear.weight.shape[1], stop - start, bias=linear.bias is not None, device="meta")
    for name in ("weight", "bias"):
        whole = getattr(linear, name)
        if whole is not None:
            rows = whole[start:stop]
            # As in `nas.supernets.carve._as_parameter`: a slice stays a function of the whole where gradients are on.
            leaf = isinstance(whole, nn.Parameter) and not torch.is_grad_enabled()
            part._parameters[name] = nn.Parameter(rows, requires_grad=whole.requires_grad) if leaf else rows
    part.training = linear.training
    return part


class _Block(nn.Module):
    """The computation, over nameless layers; it is only traced."""

    index: Tensor

    def __init__(self, heads: int, head_dim: int, dropout: bool) -> None:
        super().__init__()
        self.shape, self.dropout = (heads, head_dim), dropout
        for name in PARTS:
            setattr(self, name, nn.Identity())
        self.attn: Any = nn.Module()
        for name in SPLIT + UNSPLIT:
            setattr(self.attn, name, nn.Identity())
        self.register_buffer("index", torch.zeros(1, dtype=torch.int64))

    def forward(self, x: Any) -> Any:
        layers: Any = self
        # Keys and values need the norm of all tokens; the shortcut, and all that follows attention, only those rows.
        rows = torch.index_select(x, 1, self.index)
        rows = rows + layers.drop_path1(layers.ls1(self._attend(layers.norm1(x))))
        rows = rows + layers.drop_path2(layers.ls2(layers.mlp(layers.norm2(rows))))
        return torch.index_copy(x, 1, self.index, rows)

    def _attend(self, x: Any) -> Any:
        attn, x = self.attn, self.attn.inner(x)
        # B x n x C -> B x heads x n x head_dim, with n the tokens that are computed; keys and values of all N tokens.
        query = attn.query(torch.index_select(x, 1, self.index)).unflatten(2, self.shape).transpose(1, 2)
        key, value = attn.key_value(x).unflatten(2, (2, *self.shape)).permute(2, 0, 3, 1, 4).unbind(0)
        query, key = attn.q_norm(query), attn.k_norm(key)
        if self.dropout:  # a graph cannot ask for the mode, its dropout layer can
            weights = (query * self.shape[1] ** -0.5 @ key.transpose(-2, -1)).softmax(dim=-1)
            mixed = attn.attn_drop(weights) @ value
        else:
            mixed = functional.scaled_dot_product_attention(query, key, value)
        return attn.proj_drop(attn.proj(attn.norm(mixed.transpose(1, 2).flatten(2))))


class EveryLayerIsALeaf(fx.Tracer):
    """Traces what is written out, and calls every layer as it is."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002  (the interface)
        return True


@lru_cache(maxsize=256)
def _graph(heads: int, head_dim: int, dropout: bool) -> fx.Graph:
    return EveryLayerIsALeaf().trace(_Block(heads, head_dim, dropout))
