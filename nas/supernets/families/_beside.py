"""What blocks of BEiT and EVA hold beside their layers: biases of queries and values, scales of branches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from nas.supernets.rows import Row

QKV = "blocks.{i}.attn.qkv.weight"
ROWS = (
    Row("blocks.{i}.attn.q_bias", "(heads.{i} head_dim.{i})", query="head_dim.{i}", matrix=QKV),
    Row("blocks.{i}.attn.v_bias", "(heads.{i} head_dim.{i})", matrix=QKV),
    Row("blocks.{i}.gamma_1", "embed"),
    Row("blocks.{i}.gamma_2", "embed"),
)


def fixed(model: nn.Module) -> Mapping[str, str]:
    """What must stay where the class reads the weight of a layer, to add such biases, and does not call the layer."""
    blocks: Any = model.get_submodule("blocks")
    reason = "queries and values have biases beside their layer, which must stay one layer"
    biased = any(getattr(block.attn, "q_bias", None) is not None for block in blocks)
    return dict.fromkeys(("qkv_in", "qkv_rank", "qkv_bits"), reason) if biased else {}
