"""The feed-forward networks that a plain block may have: timm's `Mlp`, and two that multiply hidden units by gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from timm.layers.mlp import GluMlp, Mlp, SwiGLU
from torch import nn

from nas.supernets.rows import Row


@dataclass(frozen=True)
class FeedForward:
    """Rows of one kind, and the paths of its linear layers inside a block: the last one reads the hidden units, the
    others write them, or their gates.
    """

    rows: tuple[Row, ...]
    layers: tuple[str, ...]


def _writing(layer: str, outputs: str) -> tuple[Row, Row]:
    """Weight and bias of a layer that writes hidden units."""
    path = f"blocks.{{i}}.mlp.{layer}"
    return (
        Row(f"{path}.weight", f"{outputs} fc1_in.{{i}}", at="ffn_tokens.{i}", rank="fc1_rank.{i}"),
        Row(f"{path}.bias", outputs),
    )


READING = (
    Row("blocks.{i}.mlp.norm.weight", "mlp.{i}"),
    Row("blocks.{i}.mlp.norm.bias", "mlp.{i}"),
    Row("blocks.{i}.mlp.fc2.weight", "embed fc2_in.{i}", at="ffn_tokens.{i}", rank="fc2_rank.{i}"),
    Row("blocks.{i}.mlp.fc2.bias", "embed"),
)
KINDS: Mapping[type[nn.Module], FeedForward] = {
    Mlp: FeedForward((*_writing("fc1", "mlp.{i}"), *READING), ("mlp.fc1", "mlp.fc2")),
    # One layer writes both, gates and what they multiply, half of its outputs each.
    GluMlp: FeedForward((*_writing("fc1", "(2 mlp.{i})"), *READING), ("mlp.fc1", "mlp.fc2")),
    SwiGLU: FeedForward(
        (*_writing("fc1_g", "mlp.{i}"), *_writing("fc1_x", "mlp.{i}"), *READING), ("mlp.fc1_g", "mlp.fc1_x", "mlp.fc2")
    ),
}
"""By timm's class."""


def feed_forward_of(model: nn.Module) -> FeedForward:
    """The kind that all blocks of a model have."""
    first: Any = model.get_submodule("blocks.0.mlp")
    return KINDS[type(first)]


def mixed(model: nn.Module) -> str:
    """Why one kind does not do for all blocks; empty where it does."""
    blocks: Any = model.get_submodule("blocks")
    names = sorted({type(block.mlp).__name__ for block in blocks})
    return f"blocks with feed-forward networks of several kinds ({', '.join(names)})" if len(names) > 1 else ""


def sizes(block: Any) -> tuple[int, int]:
    """Hidden units of a block, and outputs of each layer that writes them."""
    first = block.get_submodule(KINDS[type(block.mlp)].layers[0])
    return block.mlp.fc2.in_features, first.out_features
