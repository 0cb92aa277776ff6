"""Regions of a captured graph that run under a mode of their own (without autocast, without gradients) are graphs in
it; here their operations take the region's place. What the mode says of values is not kept: its operations then do as
those around them.
"""

from __future__ import annotations

import operator
from typing import Any

from torch import fx

REGIONS = frozenset({"wrap_with_autocast", "wrap_with_set_grad_enabled"})
"""Operations that run a graph, handed to them with its arguments behind it."""


def inlined(code: fx.GraphModule) -> dict[str, str]:
    """Put the operations of all regions of a graph into it. What stands for values that are named otherwise since: old
    name -> new name.
    """
    renamed: dict[str, str] = {}
    while region := next((node for node in code.graph.nodes if _graph_of(node) is not None), None):
        for old, new in _opened(code, region):
            renamed = {name: new.name if value == old.name else value for name, value in renamed.items()}
            renamed[old.name] = new.name
            old.replace_all_uses_with(new)
            code.graph.erase_node(old)
        for node in (region, *region.all_input_nodes):
            if not node.users and node.op in ("call_function", "get_attr"):
                code.graph.erase_node(node)
    return renamed


def _graph_of(node: fx.Node) -> fx.Node | None:
    """The node of the graph that an operation runs, if it does."""
    if node.op != "call_function" or getattr(node.target, "__name__", "") not in REGIONS:
        return None
    return next(argument for argument in node.args if isinstance(argument, fx.Node) and argument.op == "get_attr")


def _opened(code: fx.GraphModule, region: fx.Node) -> list[tuple[fx.Node, fx.Node]]:
    """The operations of a region, copied in front of it: each of its values that is read, and its copy."""
    inner = _graph_of(region)
    assert inner is not None
    graph = code.get_submodule(str(inner.target))
    assert isinstance(graph, fx.GraphModule)
    given = region.args[list(region.args).index(inner) + 1 :]
    placeholders = (node for node in graph.graph.nodes if node.op == "placeholder")
    copies: dict[fx.Node, Any] = dict(zip(placeholders, given, strict=True))
    with code.graph.inserting_before(region):
        result: Any = code.graph.graph_copy(graph.graph, copies)
    if isinstance(result, fx.Node):
        return [(region, result)]
    reads = [user for user in region.users if user.target is operator.getitem]
    assert len(reads) == len(region.users), f"{region.name} is read as a whole"
    return [(user, result[user.args[1]]) for user in reads]
