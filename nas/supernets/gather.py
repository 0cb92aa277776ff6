"""A module that gathers fixed positions along one dimension.

torch has no layer for it. A traced graph is torch's own class for a layer of one operation, so extracted models hold no
class of ours and run where `nas` is not installed.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import fx, nn


@lru_cache(maxsize=4096)
def gather(index: tuple[int, ...], dim: int, device: torch.device) -> fx.GraphModule:
    """A module that maps x to x[..., index, ...] along `dim`.

    The first units in their order are a view; any others are copied, by an index that is a buffer of the state dict.
    """
    root = nn.Module()
    graph = fx.Graph()
    x = graph.placeholder("x")
    if index == tuple(range(len(index))):
        graph.output(graph.call_function(torch.narrow, (x, dim, 0, len(index))))
        return fx.GraphModule(root, graph, class_name="First")
    root.register_buffer("index", torch.tensor(index, dtype=torch.int64, device=device))
    graph.output(graph.call_function(torch.index_select, (x, dim, graph.get_attr("index"))))
    return fx.GraphModule(root, graph, class_name="Select")
