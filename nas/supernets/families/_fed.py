"""A block whose feed-forward network runs on some of its tokens only: attention is that of all tokens, and the others
keep what it made of them (the cut that section 3.4 of MCF hints at).

It is timm's block with one thing added, the choice of rows, as in `nas.supernets.families._queries`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, fx, nn

from nas.supernets.families._queries import EveryLayerIsALeaf

PARTS = ("norm1", "attn", "ls1", "drop_path1", "norm2", "mlp", "ls2", "drop_path2")


def fed(block: nn.Module, index: tuple[int, ...], device: torch.device) -> fx.GraphModule:
    """`block` (timm's `Block`, batch x tokens x channels), its feed-forward network run for the tokens at `index`; its
    layers are shared.
    """
    root: dict[str, Any] = {name: block.get_submodule(name) for name in PARTS}
    root["index"] = torch.tensor(index, dtype=torch.int64, device=device)
    fed_block = fx.GraphModule(root, _graph(), class_name="FedBlock")
    fed_block.training = block.training
    return fed_block


class _Block(nn.Module):
    """The computation, over nameless layers; it is only traced."""

    index: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in PARTS:
            setattr(self, name, nn.Identity())
        self.register_buffer("index", torch.zeros(1, dtype=torch.int64))

    def forward(self, x: Any) -> Any:
        layers: Any = self
        x = x + layers.drop_path1(layers.ls1(layers.attn(layers.norm1(x))))
        rows = torch.index_select(x, 1, self.index)
        rows = rows + layers.drop_path2(layers.ls2(layers.mlp(layers.norm2(rows))))
        return torch.index_copy(x, 1, self.index, rows)


@cache
def _graph() -> fx.Graph:
    return EveryLayerIsALeaf().trace(_Block())
