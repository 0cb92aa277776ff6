"""The table of rules, and what several of them need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from nas.supernets.derived.algebra import Dims, fix, new, unify
from nas.supernets.derived.reading import MADE_INSIDE, Call, Contraction, OperationRule

RULES: dict[str, OperationRule] = {}


def rule(*names: str) -> Callable[[OperationRule], OperationRule]:
    """Let a function be the rule of the operations with these names."""

    def register(function: OperationRule) -> OperationRule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def unknown(call: Call) -> Any:
    """What no rule knows: nothing of it may change."""
    for tensor in call.tensors:
        for dim in call.of(tensor):
            fix(dim, f"'{call.name}' is not known")
    reason = f"given by '{call.name}'" if call.tensors else MADE_INSIDE
    outputs = [new(tensor.shape, reason) for tensor in call.outputs]
    return outputs if isinstance(call.output, tuple | list) else outputs[0]


def contract(
    call: Call, dims: tuple[list[Dims], list[Dims], list[Dims], list[Dims]], left: Tensor, right: Tensor
) -> None:
    """Note a matrix product: batch, rows, inner and columns."""
    learned = call.reader.matrix(left), call.reader.matrix(right)
    call.reader.contractions.append(Contraction(call.reader.place, *dims, learned))


def broadcast(dims: list[Dims], result: list[Dims]) -> None:
    """Unify dimensions with those of a result, counted from the back; what the result is without it takes."""
    for place, dim in zip(range(len(result) - 1, -1, -1), reversed(dims), strict=False):
        if dim and result[place]:
            unify(dim, result[place])
        elif dim:
            result[place] = list(dim)


def replaced(dims: list[Dims], place: int, dim: Dims) -> list[Dims]:
    """Dimensions with another one at a place."""
    return [*dims[:place], dim, *dims[place + 1 :]]
