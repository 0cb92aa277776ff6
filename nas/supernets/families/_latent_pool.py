"""Attention pooling: a latent query reads all tokens of the last block (timm's `AttentionPoolLatent`).

Its own heads and hidden units stay whole; it follows the embedding. timm's takes the width of its heads for that of its
input, which differ where `embed` is smaller. There it is written out as a torch.fx graph over the same layers, so that
extracted models hold no class of ours (see `nas.supernets.gather`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from timm.layers.attention_pool import AttentionPoolLatent
from torch import Tensor, fx, nn
from torch.nn import functional

from nas.supernets.families._queries import EveryLayerIsALeaf
from nas.supernets.rows import Row

PATH = "attn_pool"
LAYERS = ("q", "kv", "q_norm", "k_norm", "proj", "proj_drop", "norm", "mlp")
HEADS = "pool_heads pool_head_dim"
ROWS = (
    Row(f"{PATH}.latent", "1 latents embed"),
    Row(f"{PATH}.q.weight", f"({HEADS}) embed", at="latents"),
    Row(f"{PATH}.q.bias", f"({HEADS})"),
    Row(f"{PATH}.kv.weight", f"(2 {HEADS}) embed", at="pooled"),
    Row(f"{PATH}.kv.bias", f"(2 {HEADS})"),
    Row(f"{PATH}.q_norm.weight", "pool_head_dim"),
    Row(f"{PATH}.q_norm.bias", "pool_head_dim"),
    Row(f"{PATH}.k_norm.weight", "pool_head_dim"),
    Row(f"{PATH}.k_norm.bias", "pool_head_dim"),
    Row(f"{PATH}.proj.weight", f"embed ({HEADS})", at="latents"),
    Row(f"{PATH}.proj.bias", "embed"),
    Row(f"{PATH}.norm.weight", "embed"),
    Row(f"{PATH}.norm.bias", "embed"),
    Row(f"{PATH}.mlp.fc1.weight", "pool_mlp embed", at="latents"),
    Row(f"{PATH}.mlp.fc1.bias", "pool_mlp"),
    Row(f"{PATH}.mlp.fc2.weight", "embed pool_mlp", at="latents"),
    Row(f"{PATH}.mlp.fc2.bias", "embed"),
)
PRODUCT = f"2 latents pooled {HEADS}"


def axes(pool: Any, tokens: int) -> dict[str, int]:
    """Sizes where `tokens` are pooled; 0 without such a pool."""
    if pool is None:
        return dict.fromkeys(("latents", "pooled", "pool_heads", "pool_head_dim", "pool_mlp"), 0)
    sizes = {"pool_heads": pool.num_heads, "pool_head_dim": pool.head_dim, "pool_mlp": pool.mlp.fc1.out_features}
    return {"latents": pool.latent_len, "pooled": tokens, **sizes}


def refusal(pool: AttentionPoolLatent | None) -> str:
    """Why a pool is not supported: it does more, or less, than those of timm's models."""
    plain = pool is None or (pool.pos_embed is None and pool.mlp is not None and pool.pool == "token")
    return "" if plain else "attention pooling that timm's models by name have not"


def narrowed(pool: Any) -> nn.Module:
    """A pool that is as wide as its input, as it is, or one with the same layers that has a width of its own."""
    if pool.kv.in_features == pool.num_heads * pool.head_dim:
        same: nn.Module = pool
        return same
    root = {name: pool.get_submodule(name) for name in LAYERS} | {"latent": pool.latent}
    graph = fx.GraphModule(root, _graph(pool.num_heads, pool.head_dim), class_name="LatentPool")
    graph.training = pool.training
    return graph


class _Pool(nn.Module):
    """The computation, over nameless layers; it is only traced."""

    latent: Tensor

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        self.shape = (heads, head_dim)
        for name in LAYERS:
            setattr(self, name, nn.Identity())
        self.register_buffer("latent", torch.zeros(1, 1, 1))

    def forward(self, x: Any) -> Any:
        layers: Any = self
        # B x n x C -> B x heads x n x head_dim, with n the latent queries; keys and values of all N tokens.
        query = layers.q(layers.latent).unflatten(2, self.shape).transpose(1, 2).expand(x.shape[0], -1, -1, -1)
        key, value = layers.kv(x).unflatten(2, (2, *self.shape)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(layers.q_norm(query), layers.k_norm(key), value)
        x = layers.proj_drop(layers.proj(mixed.transpose(1, 2).flatten(2)))
        x = x + layers.mlp(layers.norm(x))
        return x[:, 0]


@lru_cache(maxsize=64)
def _graph(heads: int, head_dim: int) -> fx.Graph:
    return EveryLayerIsALeaf().trace(_Pool(heads, head_dim))
