"""timm's `EvaAttention` with heads that are not as wide, together, as its input.

It takes the one width for the other. timm's `AttentionRope` computes the same, and has both widths; biases of queries
and values belong to layers there, so a joint projection that has some becomes three.
"""

from __future__ import annotations

from typing import Any

from timm.layers.attention import AttentionRope
from timm.models.eva import EvaAttention
from torch import nn

from nas.supernets.families._queries import rows_of_layer


def apart(attn: nn.Module, width: int) -> nn.Module:
    """`attn`, whose parameters, heads and `attn_dim` are cut, as it runs on inputs of `width` channels."""
    old: Any = attn
    if type(attn) is EvaAttention and _as_wide(old, width):
        return attn
    new: Any = object.__new__(AttentionRope)
    new.__dict__ = attn.__dict__.copy()
    new.num_kv_heads, new.num_kv_groups, new.kv_dim = old.num_heads, 1, old.attn_dim
    if getattr(old, "q_bias", None) is not None:
        _divide(new, old)
    separate: nn.Module = new
    return separate


def _as_wide(attn: Any, width: int) -> bool:
    # The buffer of zeros, as long as the biases of the whole model, stands between those of queries and of values.
    zeros = attn.k_bias
    return bool(attn.attn_dim == width and (zeros is None or len(zeros) == width))


def _divide(new: Any, old: Any) -> None:
    """Let three layers take the place of the joint one, and of the biases beside it."""
    biases = {"q_proj": old.q_bias, "k_proj": None, "v_proj": old.v_bias}
    new._modules, new._parameters, new._buffers = old._modules.copy(), old._parameters.copy(), old._buffers.copy()
    for number, (name, bias) in enumerate(biases.items()):
        layer = rows_of_layer(old.qkv, number * old.attn_dim, (number + 1) * old.attn_dim)
        layer._parameters["bias"] = bias
        setattr(new, name, layer)
    new.qkv = None
    del new._parameters["q_bias"], new._parameters["v_bias"], new._buffers["k_bias"]
    new._non_persistent_buffers_set = old._non_persistent_buffers_set - {"k_bias"}
