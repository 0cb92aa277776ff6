"""Gates: multiply the units of an axis by real numbers, folded into the parameters that write or read them.

A gate is exact when 0 gives what the sub-network without that unit gives, and 1 what the whole model gives. Which axes
have such gates is answered by `gate_refusal` alone, for a model and before there is one (by its axis table).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from torch import Tensor

from nas.axes import AxisTable, Entry
from nas.axes.sizes import JOIN, parts_of
from nas.errors import ModelError
from nas.searchspaces.axis_names import DEPTH, HEAD_DIM, HEADS, axis_name, dimension, index, is_bits
from nas.supernets.slicing import Where, gate, packed_at


def gated(
    parameters: Mapping[str, Tensor], table: AxisTable, gates: Mapping[str, Tensor], where: Where
) -> dict[str, Tensor]:
    """`parameters` with `gates` (axis -> one value per unit) folded in. Axes that are packed into one dimension may
    have a gate together, one value for each pair of their units: "heads.3 head_dim.3".

    Raises ModelError for an axis that is unknown or has no exact gate here, or for a wrong number of values.
    """
    if where not in get_args(Where):
        raise ModelError(f"gates act where units are {' or '.join(get_args(Where))}, not '{where}'")
    for axis, values in gates.items():
        _check(axis, values, table, where)
    depth = {} if table.as_graph else depth_gates(gates)
    result = dict(parameters)
    for name, entry in table.entries.items():
        if entry.block in depth and _writes_residual(table, entry):
            result[name] = result[name] * depth[entry.block]
        atoms = _gated_axes(table, entry, where)
        here = {axis: gates[axis] for axis in atoms if axis in gates}
        here |= {axis: gates[axis] for axis in gates if " " in axis and packed_at(atoms, axis) is not None}
        if here:
            result[name] = gate(result[name], entry, table.frame, here)
    return result


def depth_gates(gates: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of blocks, by the block's index."""
    return {index(axis): values for axis, values in gates.items() if dimension(axis) == DEPTH}


def bits_gates(gates: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of bits, by their axis: of all units beyond eight there is one gate, the last one's."""
    return {axis: values[-1] for axis, values in gates.items() if is_bits(dimension(axis))}


def gate_refusal(axis: str, table: AxisTable, where: Where) -> str:
    """Why the units of an axis have no exact gate where they are produced, or consumed; empty when they have one."""
    if " " in axis:
        if any(axis in atom and JOIN in atom for entry in table.entries.values() for atom in entry.atoms):
            return f"'{axis}' is a part of what one layer writes: it has no gate of its own"
        return next(filter(None, (gate_refusal(part, table, where) for part in axis.split())), "")
    if axis not in table.frame.axes:
        return f"no axis '{axis}' to gate"
    # What a block adds to the residual stream is written by two linear layers, or mixed in, whatever `where`.
    if dimension(axis) == DEPTH:
        return ""
    # Bits have one: a layer gives its share of what it computes, and for the rest what it would in int8.
    if is_bits(dimension(axis)):
        return ""
    entries = table.entries.values()
    # A gate needs a linear layer to be folded into. Tokens and ranks are no dimension of any parameter.
    if not any(axis in _gated_axes(table, entry, where) for entry in entries):
        return f"no matrix has '{axis}' where it is {where}: it cannot be gated there"
    # A norm over the units divides by the deviation of all of them: a unit that is 0 still counts there.
    if norm := _norm_over(axis, table, where):
        return f"'{axis}' cannot be gated where it is {where}: {norm} mixes its units, so 0 would not drop one"
    # The axis that sets the softmax scale is summed over in queries x keys, where no linear layer could be gated.
    if where == "consumed" and (axis in table.ungated or any(entry.query == axis for entry in entries)):
        return f"'{axis}' cannot be gated where it is consumed: queries x keys read it too, which are no linear layer"
    return ""


def _check(axis: str, values: Tensor, table: AxisTable, where: Where) -> None:
    known = all(part in table.frame.axes for part in axis.split())
    units = table.frame.full(axis) if known else None
    if units is not None and values.numel() != units:
        raise ModelError(f"the gate of '{axis}' needs {units} values, got {values.numel()}")
    if reason := gate_refusal(axis, table, where):
        raise ModelError(reason)


def _writes_residual(table: AxisTable, entry: Entry) -> bool:
    """Whether a parameter inside a block (a matrix or its bias) writes to the stream that all blocks share: then its
    outputs are no axis of this block. Norms behind the branches come last, and would undo what is done before them.
    """
    if entry.block in {other.block for other in table.entries.values() if other.adds}:
        return entry.adds
    return _matrix(table, entry) is not None and not any(index(atom) == entry.block for atom in entry.dims[0])


def _gated_axes(table: AxisTable, entry: Entry, where: Where) -> tuple[str, ...]:
    """Axes whose gate is folded into this parameter: those that its matrix reads (inputs), or writes (outputs)."""
    if _matrix(table, entry) is None:
        return ()
    if where == "consumed" and len(entry.dims) < 2:
        return ()
    axes = tuple(axis for atom in entry.dims[0 if where == "produced" else 1] for axis in parts_of(atom))
    # A gate on hidden units is read through the input axis that lies within them.
    within = table.frame.within if where == "consumed" else {}
    return (*axes, *(within[axis] for axis in axes if axis in within))


def _matrix(table: AxisTable, entry: Entry) -> Entry | None:
    """The matrix that a parameter is, or is the bias of."""
    matrix = table.entries.get(entry.matrix or f"{entry.owner}.weight")
    return matrix if matrix is not None and matrix.at else None


def _norm_over(axis: str, table: AxisTable, where: Where) -> str:
    """A norm that runs over the units of `axis`, or that undoes a gate on whole heads; empty when there is none."""
    # A norm of queries and keys runs over the dimensions of each head: it divides the gate of a whole head out again.
    undone = axis_name(HEAD_DIM, index(axis)) if dimension(axis) == HEADS and where == "produced" else axis
    if axis in table.normed or undone in table.normed:
        return "a norm without weights, or a mean over them,"
    for entry in table.entries.values():
        is_norm = len(entry.dims) == 1 and _matrix(table, entry) is None
        if is_norm and (axis in entry.axes or undone in entry.axes):
            return entry.owner
    return ""
