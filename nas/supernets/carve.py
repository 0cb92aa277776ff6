"""Carve a sub-network out of a model: a module tree of the same classes whose parameters are slices of the model's.
`detach` then makes it a model of its own.

One function serves running, relaxing, extracting and loading, so that they cannot disagree. The tree is made anew for
every architecture, which costs microseconds per module, and shares nothing that an architecture changes: there is no
state to set or to reset.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from nas.axes import FLOAT_BITS, AxisTable, Entry
from nas.searchspaces.axis_names import DEPTH, FFN_TOKENS, QUERIES, TOKENS, axis_name, dimension, is_position
from nas.supernets.decompositions import Directions
from nas.supernets.families._base import Family
from nas.supernets.gather import gather
from nas.supernets.models.int8 import MixedLinear, RoundedLinear
from nas.supernets.refusals import refuse_maps, refuse_resizing, refuse_scripting
from nas.supernets.slicing import Cut, cut, is_factored, scale_query

ALONG_TOKENS = 1
ALONG_CHANNELS = -1
"""Dimensions of an activation, batch x tokens x channels."""

Linear = TypeVar("Linear", bound=nn.Linear)


@dataclass(frozen=True)
class Whole:
    """A model seen by its axes: what `carve` cuts from.

    `directions(entry, weight, keep)` gives those along which a matrix is factored, of which `keep` has left `weight`
    (out x in).
    """

    model: nn.Module
    family: Family
    table: AxisTable
    directions: Callable[[Entry, Tensor, Cut], Directions]


def carve(whole: Whole, parameters: Mapping[str, Tensor], keep: Cut) -> nn.Module:
    """A copy of the model's tree that holds the kept slices of `parameters`, without the blocks that are left out.

    The slices are differentiable functions of `parameters`; buffers are shared, or slices where they have axes.
    """
    frame = whole.table.frame
    # First the empty tree: blocks that are left out are not in it. `tree` finds its modules by their path in the model.
    dropped = {path for index, path in frame.blocks.items() if keep.size(axis_name(DEPTH, index)) == 0}
    tree: dict[str, nn.Module] = {}
    carved = _clone(whole.model, "", dropped, tree)
    blocks = {index: tree[path] for index, path in frame.blocks.items() if path not in dropped}
    # Then every parameter's slice. What must come before a layer (a gather of the inputs that stay, the inner factor of
    # a matrix) is collected by the layer's path, and put there last: until then the tree has the shape of the model's.
    before: dict[str, list[nn.Module]] = defaultdict(list)
    for name, entry in whole.table.entries.items():
        if entry.block and entry.block not in blocks:
            continue
        tensor = parameters[name]
        layer = nn.Linear if not entry.bits or keep.size(entry.bits) == FLOAT_BITS else RoundedLinear
        if layer is RoundedLinear:
            tree[entry.owner] = _turned(tree[entry.owner], RoundedLinear)
            carved.set_submodule(entry.owner, tree[entry.owner])
        if entry.at and (inputs := _input_gather(entry, keep, tensor.device)):
            before[entry.owner].append(inputs)
        if keep.touches(entry):
            tensor = scale_query(cut(tensor, entry.dims, keep), entry, keep)
        # Pruned first, factored then, and only where two factors cost less than what is left of the matrix.
        if is_factored(entry, keep.size):
            directions = whole.directions(entry, tensor, keep)
            tensor, inner = _factor(tensor, keep.size(entry.rank), directions, parameters[name], layer)
            before[entry.owner].append(inner)
        _hold(tree[entry.owner], name.rpartition(".")[2], _as_parameter(tensor, parameters[name]))
    for name, entry in whole.table.buffers.items():
        if keep.touches(entry) and (not entry.block or entry.block in blocks):
            path, _, leaf = name.rpartition(".")
            buffer = tree[path]._buffers[leaf]
            assert buffer is not None
            tree[path]._buffers[leaf] = cut(buffer, entry.dims, keep)
    # Heads and widths that modules remember, while blocks still are what the family expects.
    whole.family.reshape(carved, blocks, keep.size)
    for path, modules in before.items():
        carved.set_submodule(path, nn.Sequential(*modules, tree[path]))
    _thin_tokens(carved, blocks, whole, keep)
    return carved


def mix_bits(carved: nn.Module, table: AxisTable, shares: Mapping[str, Tensor]) -> None:
    """Let whole matrices give a share (axis of their bits -> scalar) of what they compute, and for the rest what they
    would in int8.
    """
    for entry in table.entries.values():
        if entry.bits in shares:
            twin = _turned(carved.get_submodule(entry.owner), MixedLinear)
            twin.share = shares[entry.bits]
            carved.set_submodule(entry.owner, twin)


def extracted(carved: nn.Module, family: Family) -> nn.Module:
    """What was carved as a model of its own, in classes of timm's and torch's. Call it without gradients."""
    own = detach(family.plain(carved))
    family.refuse(own)
    return own


def detach(carved: nn.Module) -> nn.Module:
    """A copy of `carved` with parameters and buffers of its own, all leaves. Call it without gradients."""
    own = copy.deepcopy(carved)
    seen: set[int] = set()
    for module in own.modules():
        for name, tensor in module._parameters.items():
            if tensor is not None:
                # Whatever the slice was (a view, strided, a plain tensor), it becomes a parameter with its own memory.
                module._parameters[name] = nn.Parameter(tensor.detach().clone().contiguous(), tensor.requires_grad)
        for name, child in module._modules.items():
            # Gathers of the same positions are one object in a carved tree; a model of its own shares nothing.
            if child is not None and id(child) in seen:
                module._modules[name] = copy.deepcopy(child)
            seen.add(id(child))
    return own


def _clone(module: nn.Module, path: str, dropped: set[str], tree: dict[str, nn.Module]) -> nn.Module:
    """The same tree in new modules, without dropped blocks; tensors and attributes are shared. `tree`: by path.

    Done by hand, since `copy.copy` of a module shares the dictionaries of its parameters and children.
    """
    twin: nn.Module = object.__new__(type(module))
    # The dictionaries are copied, what they hold is not: an attribute, a parameter or a child that is set on the twin
    # does not reach the model. They go straight into the twin's own: `nn.Module.__setattr__` is slow.
    children: dict[str, nn.Module | None] = {}
    own = {"_parameters": module._parameters.copy(), "_buffers": module._buffers.copy(), "_modules": children}
    twin.__dict__.update(module.__dict__, **own)
    for name, child in module._modules.items():
        below = f"{path}.{name}" if path else name
        if below not in dropped:
            children[name] = child and _clone(child, below, dropped, tree)
    tree[path] = twin
    return twin


def _turned(layer: nn.Module, into: type[Linear]) -> Linear:
    """A linear layer as one of another class, with the same tensors and attributes."""
    twin = object.__new__(into)
    twin.__dict__.update(layer.__dict__)
    return twin


def _as_parameter(tensor: Tensor, source: Tensor) -> nn.Parameter:
    """A slice as a module holds it: a function of its source where gradients are on, else a parameter.

    torch picks the kernel of a linear layer by whether its weight wants a gradient, and by its strides. A slice that
    does as its source does, and is contiguous, gives the very bits of the extracted model.
    """
    if torch.is_grad_enabled() or isinstance(tensor, nn.Parameter):
        return tensor  # type: ignore[return-value]
    return nn.Parameter(tensor.contiguous(), requires_grad=source.requires_grad)


def _hold(module: nn.Module, name: str, tensor: nn.Parameter) -> None:
    """Put a parameter into a module, and make the sizes that a layer remembers those of its weight."""
    # Past `nn.Module.__setattr__`, which takes `nn.Parameter` only: a slice that wants a gradient is none.
    module._parameters[name] = tensor
    if name != "weight":
        return
    if isinstance(module, nn.Linear):
        out_features, in_features = tensor.shape
        module.__dict__.update(out_features=out_features, in_features=in_features)
    elif isinstance(module, nn.Conv2d):
        module.__dict__.update(out_channels=tensor.shape[0])
    elif "normalized_shape" in module.__dict__:
        module.__dict__.update(normalized_shape=tuple(tensor.shape))


def _factor(
    weight: Tensor, rank: int, directions: Directions, source: Tensor, kind: type[nn.Linear]
) -> tuple[Tensor, nn.Module]:
    """The outer factor (out x rank) of a matrix cut from `source`, and the layer, of a kind, of the inner one (rank x
    in).
    """
    outer, inner = directions.factors(weight, rank)
    # On "meta" nothing is allocated or drawn at random for a weight that is replaced at once.
    layer = kind(inner.shape[1], rank, bias=False, device="meta")
    layer._parameters["weight"] = _as_parameter(inner, source)
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
    """Let blocks compute their queries only, or feed some tokens only, and gather what stays before each block that
    sees fewer tokens.
    """
    if not any(map(is_position, keep.selections)):
        return
    refuse_resizing(carved)
    refuse_scripting(carved)
    device = next(carved.parameters()).device
    # Positions that arrive at a block: at first all of them. A gather counts among those that arrive, not in the image:
    # `arriving.index(position)` is where a position stands there.
    arriving = list(range(max(n for axis, n in keep.frame.axes.items() if dimension(axis) == TOKENS)))
    for index in blocks:
        path = whole.table.frame.blocks[index]
        # Without a selection of its own a block sees what arrives, and computes what it sees.
        present = _chosen(keep, axis_name(TOKENS, index), arriving)
        computed = _chosen(keep, axis_name(QUERIES, index), present)
        if len(computed) < len(present):
            rows = tuple(present.index(position) for position in computed)
            carved.set_submodule(path, whole.family.partial(carved.get_submodule(path), rows, device))
        fed = _chosen(keep, axis_name(FFN_TOKENS, index), computed)
        if len(fed) < len(computed):
            # A space chooses these or the tokens themselves: here all of them are present and computed.
            carved.set_submodule(path, whole.family.fed(carved.get_submodule(path), tuple(fed), device))
        # In front of the block, so that what is gone here is gone for all blocks behind.
        if len(present) < len(arriving):
            stays = gather(tuple(arriving.index(position) for position in present), ALONG_TOKENS, device)
            carved.set_submodule(path, nn.Sequential(stays, carved.get_submodule(path)))
            refuse_maps(carved)
        arriving = present


def _chosen(keep: Cut, axis: str, default: list[int]) -> list[int]:
    """Positions, ascending, that are selected of an axis."""
    return keep.selections[axis].tolist() if axis in keep.selections else default
