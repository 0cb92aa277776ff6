"""Which modules of a model are its blocks: the members of its innermost lists of modules that hold most of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import fx, nn

from nas.searchspaces.axis_names import axis_name

FEW = 4
"""Most parameter tensors of a module that is no block, such as a convolution and its norm."""
LISTS = (nn.ModuleList, nn.Sequential, nn.ModuleDict)


def blocks_of(model: nn.Module, writing: Collection[str] = ()) -> dict[str, str]:
    """Index of a block -> its path: "3", or "2.5" for block 5 of list 2 where there are several lists. `writing` are
    the parameters that write the model's output: what alone has some of them is a head, and no block.
    """
    first = {id(module): path for path, module in model.named_modules()}  # of several paths, as parameters have it
    found = list(dict.fromkeys(first[id(model.get_submodule(path))] for path in _blocks(model, "")))
    write = [path for path in found if any(name.startswith(f"{path}.") for name in writing)]
    heads = write if len(write) == 1 < len(found) else []
    lists: dict[str, list[str]] = {}
    for path in (path for path in found if path not in heads):
        lists.setdefault(path.rpartition(".")[0], []).append(path)
    if len(lists) == 1:
        (paths,) = lists.values()
        return {str(place): path for place, path in enumerate(paths)}
    return {
        axis_name(str(stage), str(place)): path
        for stage, paths in enumerate(lists.values())
        for place, path in enumerate(paths)
    }


def block_of(node: fx.Node, blocks: Mapping[str, str]) -> str:
    """Index of the block in which a node of a captured graph is computed; empty outside all."""
    stack = node.meta.get("nn_module_stack") or {}
    inside = {str(path).partition("@")[0] for path, _ in stack.values()}
    return next((index for index, path in blocks.items() if path in inside), "")


def index_at(name: str, blocks: Mapping[str, str]) -> str:
    """Index of the block in which a parameter lies; empty outside all."""
    return next((index for index, path in blocks.items() if name.startswith(f"{path}.")), "")


def _blocks(module: nn.Module, path: str) -> list[str]:
    below = [(f"{path}.{name}".removeprefix("."), child) for name, child in module.named_children()]
    if not isinstance(module, LISTS):
        return [block for inner, child in below for block in _blocks(child, inner)]
    result = []
    for inner, child in below:
        if len(list(child.parameters())) > FEW:
            blocks = _blocks(child, inner)
            # A stage is a member whose own lists hold most of it.
            held = sum(_size(module.get_submodule(block.removeprefix(f"{path}."))) for block in blocks)
            result += blocks if blocks and 2 * held >= _size(child) else [inner]
    return result


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
