"""Axes that are not yet known: unions, products and concatenations, found while a graph is read.

A dimension of a tensor is a product of axes, the last varies fastest. At first every dimension of a parameter is an
axis of its own. What an operation does with its dimensions then says which axes are one (`unify`), which are products
of others (`reshaped`), which are concatenated (`joined`), and which must stay as they are (`fix`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, final

Dims = list["Axis"]
"""The axes of one dimension; none for a dimension of one unit."""


@final
class Axis:
    """A number of units; once more is known, the same as another axis, a product of axes, or a concatenation of
    products. `reason` says why it may not shrink, where it may not.
    """

    __slots__ = ("kind", "parts", "products", "reason", "same", "size")

    def __init__(self, size: int, reason: str = "") -> None:
        self.size = size
        self.reason = reason
        self.same: Axis | None = None
        self.kind: Literal["", "product", "joined"] = ""
        self.products: Dims = []
        self.parts: list[Dims] = []

    def root(self) -> Axis:
        """The axis that stands for all that are the same."""
        axis = self
        while axis.same is not None:
            axis = axis.same
        return axis


def new(sizes: Iterable[int], reason: str = "") -> list[Dims]:
    """Dimensions of these sizes, each an axis of its own."""
    return [[Axis(size, reason)] if size > 1 else [] for size in sizes]


def size(dims: Iterable[Axis]) -> int:
    """Units of a dimension."""
    return math.prod(axis.size for axis in dims)


def flat(dims: Iterable[Axis]) -> Dims:
    """The axes of a dimension, with products unpacked and axes of one unit left out."""
    result: Dims = []
    for axis in map(Axis.root, dims):
        if axis.kind == "product":
            result += flat(axis.products)
        elif axis.size > 1:
            result.append(axis)
    return result


def elementary(dims: Iterable[Axis]) -> Dims:
    """The axes of a dimension, with products and concatenations unpacked."""
    result: Dims = []
    for axis in flat(dims):
        result += [inner for part in axis.parts for inner in elementary(part)] if axis.kind == "joined" else [axis]
    return result


def fix(dims: Iterable[Axis], reason: str) -> None:
    """Let the axes of a dimension stay as they are. The first reason is kept."""
    for axis in flat(dims):
        axis.reason = axis.reason or reason
        for part in axis.parts:
            fix(part, reason)


def split(axis: Axis, sizes: Sequence[int]) -> None:
    """Make an axis the product of axes of these sizes."""
    if axis.kind == "joined":
        first, *others = axis.parts
        if all(size(part) == size(first) for part in others):
            # k equal parts, one behind the other, are k x part.
            for part in others:
                unify(first, part)
            axis.kind, axis.products, axis.parts = (
                "product",
                [Axis(len(others) + 1, "a stack of equal parts"), *first],
                [],
            )
            return
        fix([axis], "a concatenation is taken apart where none of its parts ends")
    axis.kind, axis.products, axis.parts = "product", [Axis(units, axis.reason) for units in sizes], []


def unify(left: Iterable[Axis], right: Iterable[Axis]) -> None:
    """Let two dimensions have the same axes. Both are read from their fastest axis on, and split where one of them
    ends inside an axis of the other.
    """
    x, y = flat(left), flat(right)
    while x and y:
        a, b = x[-1].root(), y[-1].root()
        if a.kind == "product" or b.kind == "product":  # split meanwhile
            x[-1:], y[-1:] = flat([a]), flat([b])
        elif a is b or a.size == b.size:
            _merge(a, b)
            del x[-1], y[-1]
        elif size(x) == size(y) and "joined" in (a.kind, b.kind) and 1 in (len(x), len(y)):
            _join_as_product(*((a, y) if a.kind == "joined" and len(x) == 1 else (b, x)))
            return
        elif a.size % b.size == 0:
            split(a, [a.size // b.size, b.size])
        elif b.size % a.size == 0:
            split(b, [b.size // a.size, a.size])
        else:
            _fix_to_common_end(x, y)


def reshaped(dims: Iterable[Dims], shape: Sequence[int]) -> list[Dims]:
    """The dimensions of a reshape: the row of all axes is cut where the new dimensions end.

    Where axes and dimensions have no common end, what lies before the next one is fixed.
    """
    row = [axis for dim in dims for axis in flat(dim)]
    result: list[Dims] = [[] for _ in shape]
    todo = [(place, units) for place, units in enumerate(shape) if units > 1]
    while todo and row:
        (place, units), axis = todo.pop(), row.pop().root()
        if axis.kind == "product":
            row += flat([axis])
            todo.append((place, units))
        elif units % axis.size == 0:
            result[place].insert(0, axis)
            if units > axis.size:
                todo.append((place, units // axis.size))
        elif axis.size % units == 0:
            split(axis, [axis.size // units, units])
            row += flat([axis])
            todo.append((place, units))
        else:
            _reshape_across((place, units), axis, todo, row, result)
    return result


def part(dims: Dims, start: int, length: int, step: int = 1) -> Dims:
    """The units from `start` on of a dimension, every `step`-th."""
    units = size(dims)
    if length == units:
        return dims
    axes = flat(dims)
    if all(axis.reason for axis in axes):
        return new([length], axes[0].reason if axes else "")[0]
    if step > 1 and units % step == 0 and length == units // step:
        kept, stride = reshaped([dims], (units // step, step))
        fix(stride, "every so many units are taken")
        return kept
    first, inner = axes[0], size(axes[1:])
    aligned = step == 1 and start % inner == length % inner == 0
    if aligned and first.kind == "joined":
        of_joined = _part_of_joined(first, start // inner, length // inner)
        if of_joined is not None:
            return [*of_joined, *axes[1:]]
    if step == 1 and units % length == 0 and start % length == 0:
        number, kept = reshaped([dims], (units // length, length))
        fix(number, "taken in equal parts")
        return kept
    if aligned and not first.kind:
        cut_in(dims, [units for units in (start, length, units - start - length) if units])
        return [*first.parts[1 if start else 0], *axes[1:]]
    fix(dims, "a part of it is taken")
    return new([length], "a part of another axis")[0]


def cut_in(dims: Dims, lengths: Sequence[int]) -> None:
    """Let the first axis of a dimension be a concatenation, so that the dimension consists of parts of these lengths;
    it stays as it is where they end inside its units.
    """
    first, *inner = flat(dims)
    units = size(inner)
    if not first.kind and all(length % units == 0 for length in lengths):
        first.kind, first.parts = "joined", [[Axis(length // units, first.reason)] for length in lengths]


def joined(parts: list[Dims]) -> Dims:
    """The dimension of a concatenation. Equal parts are a stack of them; the fast axes that all parts have stay outside
    of it.
    """
    axes = [flat(part) for part in parts]
    if all(axes) and all([a.root() for a in part] == [a.root() for a in axes[0]] for part in axes):
        return [Axis(len(axes), "a stack of equal parts"), *axes[0]]
    if all(axis.reason for part in axes for axis in part):
        return [Axis(sum(map(size, parts)), "a concatenation of parts that stay")]
    inner: Dims = []
    while all(axes) and all(part[-1].root() is axes[0][-1].root() for part in axes):
        inner.insert(0, axes[0][-1])
        axes = [part[:-1] for part in axes]
    whole = Axis(sum(map(size, axes)))
    whole.kind, whole.parts = "joined", [part or [Axis(1, "a single unit")] for part in axes]
    return [whole, *inner]


def _part_of_joined(axis: Axis, start: int, length: int) -> Dims | None:
    """The part of a concatenation that begins and ends there, if there is one."""
    position = 0
    for part_ in axis.parts:
        if position == start and size(part_) == length:
            return list(part_)
        position += size(part_)
    return None


def _merge(a: Axis, b: Axis) -> None:
    """Let two axes of equal size be one."""
    if a is b:
        return
    if b.kind == "joined" and a.kind != "joined":
        a, b = b, a
    if a.kind == b.kind == "joined":
        if [size(part) for part in a.parts] == [size(part) for part in b.parts]:
            for mine, others in zip(a.parts, b.parts, strict=True):
                unify(mine, others)
        else:
            fix([a, b], "two concatenations of unlike parts")
    reason = a.reason or b.reason
    if a.root() is not b.root():
        b.root().same = a.root()
    if reason:
        fix([a], reason)


def _join_as_product(axis: Axis, dims: Dims) -> None:
    """A concatenation of k parts meets a product that begins with k: a stack, if the parts are equal."""
    first, *rest = dims
    if first.size == len(axis.parts) and len({size(part) for part in axis.parts}) == 1:
        fix([first], "a stack of equal parts")
        for part_ in axis.parts:
            unify(part_, rest)
        axis.kind, axis.products, axis.parts = "product", list(dims), []
    else:
        fix([axis, *dims], "a concatenation meets a product")


def _fix_to_common_end(x: Dims, y: Dims) -> None:
    """Fix what the two rows have up to their next common end."""
    a, b = x.pop(), y.pop()
    units, others, seen = a.size, b.size, [a, b]
    while units != others and (x if units < others else y):
        axis = (x if units < others else y).pop().root()
        seen.append(axis)
        if units < others:
            units *= axis.size
        else:
            others *= axis.size
    fix(seen, "two shapes that have no common axes")


def _reshape_across(
    last: tuple[int, int], axis: Axis, todo: list[tuple[int, int]], row: Dims, result: list[Dims]
) -> None:
    """Fix axes and new dimensions up to their next common end."""
    axes, places, units, wanted = [axis], [last], axis.size, last[1]
    while units != wanted and (row if units < wanted else todo):
        if units < wanted:
            axes.append(row.pop().root())
            units *= axes[-1].size
        else:
            places.append(todo.pop())
            wanted *= places[-1][1]
    fix(axes, "reshaped across its units")
    for place, length in places:
        result[place].insert(0, Axis(length, "reshaped across the units of others"))
