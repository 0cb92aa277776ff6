"""The axis table of a labelled program: rows of its parameters and buffers, and its matrix products in closed form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from nas.axes import AxisTable, Dim, Entry, Frame, Product
from nas.axes.sizes import JOIN
from nas.searchspaces.axis_names import DEPTH, axis_name
from nas.supernets.derived.algebra import Axis, Dims, elementary, flat
from nas.supernets.derived.blocks import block_of, index_at
from nas.supernets.derived.derivation import Derivation
from nas.supernets.derived.factors import ranks_of
from nas.supernets.derived.labels import Labels
from nas.supernets.derived.lengths import IMAGES
from nas.supernets.derived.program import BATCH, Program
from nas.supernets.derived.reading import Contraction

AxisNames = Mapping[Axis, str]


def tabled(labels: Labels, names: AxisNames) -> dict[Axis, str]:
    """The axes that a table can name: not those inside a concatenation of concatenations."""
    inside = {
        inner
        for dims in [*labels.state.values(), *map(_lists, labels.values.values())]
        for dim in dims
        for axis in flat(dim)
        if axis.kind == "joined" and not _simple(axis)
        for inner in elementary([axis])
    }
    return {axis: name for axis, name in names.items() if axis not in inside}


def spelled(labels: Labels, names: AxisNames) -> dict[str, Any]:
    """Dimensions of every value by names, by the node that gives it."""

    def dims(value: Any) -> Any:
        return value and [dim_of(item, names) if _is_dims(item) else dims(item) for item in value]

    return {node: dims(value) for node, value in labels.values.items()}


def dim_of(dims: Dims, names: AxisNames) -> Dim:
    """A dimension by the names of its axes; those without a name are numbers, and images are images."""
    return tuple(_atom(axis, names) for axis in flat(dims)) or ("1",)


def _atom(axis: Axis, names: AxisNames) -> str:
    if axis.size == BATCH:
        return IMAGES
    if axis.kind != "joined" or not any(inner in names for inner in elementary([axis])):
        return names.get(axis, str(axis.size))
    return JOIN.join(" ".join(dim_of(part, names)) for part in axis.parts)


def _simple(axis: Axis) -> bool:
    """Whether the parts of a concatenation are none themselves."""
    return all(inner.kind != "joined" for part in axis.parts for inner in flat(part))


def table_of(model: nn.Module, derivation: Derivation, labels: Labels, program: Program, names: AxisNames) -> AxisTable:
    """`names` are those of the axes that may shrink (see `tabled`)."""
    blocks = {index: derivation.blocks[index] for index in derivation.skippable}
    axes = {name: axis.size for axis, name in names.items()}
    applied, products = _products(labels, program, names, blocks)
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    ranks = ranks_of(model, program, applied, derivation.blocks)
    full = {rank: min(tensors[name].shape) for name, rank in ranks.items()}
    depth = {axis_name(DEPTH, index): 1 for index in blocks}
    frame = Frame({**axes, **depth, **full}, {}, {}, blocks)

    def entry(name: str) -> Entry:
        # A dimension of no units has no axes, as one of a single unit.
        sizes = zip(labels.state[name], tensors[name].shape, strict=True)
        dims = tuple(dim_of(dim, names) if units else ("0",) for dim, units in sizes)
        return Entry(name, dims or (("1",),), index_at(name, blocks), applied.get(name, ""), ranks.get(name, ""))

    entries = {name: entry(name) for name, _ in model.named_parameters()}
    buffers = {name: entry(name) for name, buffer in model.named_buffers() if name in labels.state and buffer.dim()}
    moving = {name: row for name, row in buffers.items() if any(atom in axes for atom in row.atoms)}
    of_activations = (c for c in labels.contractions if not any(c.learned))
    summed = [*labels.summed, *(dim for contraction in of_activations for dim in contraction.inner)]
    ungated, normed = _named(summed, names), _named(labels.normed, names)
    return AxisTable(frame, entries, tuple(products), buffers=moving, ungated=ungated, normed=normed, as_graph=True)


def _named(dims: Iterable[Dims], names: AxisNames) -> frozenset[str]:
    return frozenset(names[axis] for dim in dims for axis in elementary(dim) if axis in names)


def _products(
    labels: Labels, program: Program, names: AxisNames, blocks: Mapping[str, str]
) -> tuple[dict[str, str], list[Product]]:
    """What matrices are applied to, by parameter, and all other products."""
    nodes = {node.name: node for node in program.nodes()}
    weights = {
        name: state for name, (kind, state) in program.inputs.items()
        if kind == "parameter" and program.tensors[name].dim() > 1
    }  # fmt: skip
    by_place: dict[str, list[Contraction]] = defaultdict(list)
    for contraction in labels.contractions:
        by_place[contraction.place].append(contraction)
    uses: dict[str, list[str]] = defaultdict(list)
    for place in by_place:
        for node in nodes[place].all_input_nodes:
            if node.name in weights:
                uses[weights[node.name]].append(place)
    applied, products = {}, []
    owner = {places[0]: name for name, places in uses.items() if len(places) == 1}
    for place, contractions in by_place.items():
        block = block_of(nodes[place], blocks)
        name = owner.get(place, "")
        if name and len(contractions) == 1 and sum(places == [place] for places in uses.values()) == 1:
            rest = _rest(contractions[0], labels.state[name])
            times = () if rest is None else _atoms([rest], names)
            if rest is not None and not any(JOIN in atom for atom in times):
                applied[name] = " ".join(times) or "1"
                continue
        products += [Product(block, 1, _atoms(_all(c), names) or ("1",)) for c in contractions]
    return applied, products


def _rest(contraction: Contraction, weight: Iterable[Dims]) -> Dims | None:
    """What the elements of a weight are multiplied by: all axes of a product but its own; None where it has others."""
    axes = [axis for dim in _all(contraction) for axis in flat(dim)]
    for axis in (axis for dim in weight for axis in flat(dim)):
        if axis not in axes:
            return None
        axes.remove(axis)
    return axes


def _atoms(dims: Iterable[Dims], names: AxisNames) -> Dim:
    return tuple(atom for dim in dims for atom in dim_of(dim, names) if atom not in (IMAGES, "1"))


def _all(contraction: Contraction) -> list[Dims]:
    return [*contraction.batch, *contraction.rows, *contraction.inner, *contraction.columns]


def _lists(value: Any) -> list[Dims]:
    """The dimensions of a node's values, one list of them."""
    if not value:
        return []
    return [dim for item in value for dim in ([item] if _is_dims(item) else _lists(item))]


def _is_dims(item: Any) -> bool:
    """Whether it is the dimension of a tensor, and not a list of them."""
    return isinstance(item, list) and all(isinstance(axis, Axis) for axis in item)
