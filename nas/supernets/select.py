"""A module that gathers fixed positions along one dimension.

torch has no layer for it. A traced graph is torch's own class for a layer of one operation, so extracted models hold no
class of ours and run where `nas` is not installed.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import fx, nn


@lru_cache(maxsize=4096)
def select(index: tuple[int, ...], dim: int, device: torch.device) -> fx.GraphModule:
    """A module that maps x to x[..., index, ...] along `dim`; the index is a buffer of its state dict."""
    root = nn.Module()
    root.register_buffer("index", torch.tensor(index, dtype=torch.int64, device=device))
    graph = fx.Graph()
    x = graph.placeholder("x")
    graph.output(graph.call_function(torch.index_select, (x, dim, graph.get_attr("index"))))
    return fx.GraphModule(root, graph, class_name="Select")
