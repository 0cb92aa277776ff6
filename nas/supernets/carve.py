"""Carve a sub-network out of a model: a module tree of the same classes whose parameters are slices of the model's.

One function serves running, relaxing, extracting and loading, so that they cannot disagree. The tree is made anew for
every architecture, which costs microseconds per module, and shares nothing that an architecture changes: there is no
state to set or to reset.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.searchspaces.axis_names import DEPTH, QUERIES, TOKENS, axis_name, dimension, is_position
from nas.supernets.axes import AxisTable, Entry
from nas.supernets.decompositions import Directions, factoring_pays
from nas.supernets.families._base import Family
from nas.supernets.gather import gather
from nas.supernets.slicing import Cut, cut, scale_query

ALONG_TOKENS = 1
ALONG_CHANNELS = -1
"""Dimensions of an activation, batch x tokens x channels."""


@dataclass(frozen=True)
class Whole:
    """A model seen by its axes: what `carve` cuts from.

    `directions(entry, weight)` gives those along which a matrix (out x in) is factored.
    """

    model: nn.Module
    family: Family
    table: AxisTable
    directions: Callable[[Entry, Tensor], Directions]


def carve(whole: Whole, parameters: Mapping[str, Tensor], keep: Cut) -> nn.Module:
    """A copy of the model's tree that holds the kept slices of `parameters`, without the blocks that are left out.

    The slices are differentiable functions of `parameters`; buffers are shared.
    """
    frame = whole.table.frame
    dropped = {path for index, path in frame.blocks.items() if keep.size(axis_name(DEPTH, index)) == 0}
    tree: dict[str, nn.Module] = {}
    carved = _clone(whole.model, "", dropped, tree)
    blocks = {index: tree[path] for index, path in frame.blocks.items() if path not in dropped}
    before: dict[str, list[nn.Module]] = defaultdict(list)
    for name, entry in whole.table.entries.items():
        if entry.block and entry.block not in blocks:
            continue
        tensor = parameters[name]
        if entry.at and (inputs := _input_gather(entry, keep, tensor.device)):
            before[entry.owner].append(inputs)
        if entry.rank and keep.size(entry.rank) < frame.full(entry.rank):
            tensor, inner = _factor(entry, tensor, whole.directions(entry, tensor), keep)
            if inner:
                before[entry.owner].append(inner)
        elif keep.touches(entry):
            tensor = scale_query(cut(tensor, entry.dims, keep), entry, keep)
        _hold(tree[entry.owner], name.rpartition(".")[2], _as_parameter(tensor, parameters[name]))
    whole.family.reshape(carved, blocks, keep.size)
    for path, modules in before.items():
        carved.set_submodule(path, nn.Sequential(*modules, tree[path]))
    _thin_tokens(carved, blocks, whole, keep)
    return carved


def _clone(module: nn.Module, path: str, dropped: set[str], tree: dict[str, nn.Module]) -> nn.Module:
    """The same tree in new modules, without dropped blocks; tensors and attributes are shared. `tree`: by path."""
    copy: nn.Module = object.__new__(type(module))
    copy.__dict__ = module.__dict__.copy()
    copy._parameters = module._parameters.copy()
    copy._buffers = module._buffers.copy()
    copy._modules = {}
    for name, child in module._modules.items():
        below = f"{path}.{name}" if path else name
        if below not in dropped:
            copy._modules[name] = child and _clone(child, below, dropped, tree)
    tree[path] = copy
    return copy


def _as_parameter(tensor: Tensor, source: Tensor) -> nn.Parameter:
    """A slice as a module holds it: a function of its source where gradients are on, else a parameter.

    torch picks the kernel of a linear layer by whether its weight wants a gradient. A slice that does as its source
    does gives the very bits of the extracted model.
    """
    if torch.is_grad_enabled() or isinstance(tensor, nn.Parameter):
        return tensor  # type: ignore[return-value]
    return nn.Parameter(tensor, requires_grad=source.requires_grad)


def _hold(module: nn.Module, name: str, tensor: nn.Parameter) -> None:
    """Put a parameter into a module, and make the sizes that a layer remembers those of its weight."""
    module._parameters[name] = tensor
    if name != "weight":
        return
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = tensor.shape
    elif isinstance(module, nn.Conv2d):
        module.out_channels = tensor.shape[0]
    elif hasattr(module, "normalized_shape"):
        setattr(module, "normalized_shape", tuple(tensor.shape))  # noqa: B010


def _factor(entry: Entry, weight: Tensor, directions: Directions, keep: Cut) -> tuple[Tensor, nn.Module | None]:
    """The outer factor (out x rank) of a matrix, and the layer of the inner one (rank x in) that comes before it.

    Both factors are those of the whole matrix, cut to the kept outputs and inputs. Where two factors would cost more
    than their product, the product is returned, and no layer.
    """
    rank = keep.size(entry.rank)
    outer, inner = directions.factors(weight, rank)
    outer = scale_query(cut(outer, (entry.dims[0], (str(rank),)), keep), entry, keep)
    inner = cut(inner, ((str(rank),), entry.dims[1]), keep)
    if not factoring_pays(rank, outer.shape[0], inner.shape[1]):
        return outer @ inner, None
    layer = nn.Linear(inner.shape[1], rank, bias=False, device="meta")
    layer._parameters["weight"] = _as_parameter(inner, weight)
    return outer, layer


def _input_gather(entry: Entry, keep: Cut, device: torch.device) -> nn.Module | None:
    """A gather of the inputs that a matrix keeps of those that arrive, where it keeps fewer."""
    (axis,) = entry.dims[1] if len(entry.dims) == 2 and len(entry.dims[1]) == 1 else ("",)
    parent = keep.frame.within.get(axis)
    if parent is None or keep.size(axis) == keep.size(parent):
        return None
    kept = keep.selections.get(axis)
    index = tuple(range(keep.size(axis))) if kept is None else tuple(kept.tolist())
    return gather(index, ALONG_CHANNELS, device)


def _thin_tokens(carved: nn.Module, blocks: Mapping[str, nn.Module], whole: Whole, keep: Cut) -> None:
    """Let blocks compute their queries only, and gather what stays before each block that sees fewer tokens."""
    if not any(map(is_position, keep.selections)):
        return
    device = next(carved.parameters()).device
    arriving = list(range(max(n for axis, n in keep.frame.axes.items() if dimension(axis) == TOKENS)))
    for index in blocks:
        path = whole.table.frame.blocks[index]
        present = _chosen(keep, axis_name(TOKENS, index), arriving)
        computed = _chosen(keep, axis_name(QUERIES, index), present)
        if len(computed) < len(present):
            rows = tuple(present.index(position) for position in computed)
            carved.set_submodule(path, whole.family.partial(carved.get_submodule(path), rows, device))
        if len(present) < len(arriving):
            stays = gather(tuple(arriving.index(position) for position in present), ALONG_TOKENS, device)
            carved.set_submodule(path, nn.Sequential(stays, carved.get_submodule(path)))
        arriving = present


def _chosen(keep: Cut, axis: str, default: list[int]) -> list[int]:
    return keep.selections[axis].tolist() if axis in keep.selections else default
