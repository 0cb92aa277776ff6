"""The values of a choice as YAML gives them: a list, or a range; whole numbers, or fractions of an axis. Checked, and
turned into sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, final

from pydantic import Field

from nas.searchspaces.architecture import Value
from nas.searchspaces.choices._base import Choice, Faults, Group, title
from nas.searchspaces.outline import Outline

_MOST = 4096
"""Values that a range may expand to."""


@final
@dataclass(frozen=True)
class Range:
    """`{from: 1, to: 12, step: 1}`, in place of a list of values.

    start   the first value
    stop    the last value, included
    step    between two of them
    """

    start: Annotated[Value, Field(alias="from")]
    stop: Annotated[Value, Field(alias="to")]
    step: Value


Values = list[Value] | Range


def exact(value: Value) -> Fraction:
    """The number that the user wrote: 0.7 is seven tenths, not the nearest binary number, so that 0.7 of 10 units is
    7.
    """
    return Fraction(str(value))


def listed(values: Values, key: str, faults: Faults) -> list[tuple[str, Value]]:
    """Key ("size.2") and value of each, as written; what no choice could have as a value is reported and left out."""
    if isinstance(values, Range):
        return [(key, value) for value in _expanded(values, key, faults)]
    if not values:
        faults.fault(key, "an empty list", "at least one value")
    whole = all(isinstance(value, int) for value in values)
    good: list[tuple[str, Value]] = []
    for i, value in enumerate(values):
        item = f"{key}.{i}"
        if not math.isfinite(value) or value < 0:
            faults.fault(item, str(value), "a whole number from 1, or a fraction up to 1")
        elif isinstance(value, int) and not whole:
            allowed = f"fractions only, such as {float(value)}, or whole numbers only"
            faults.fault(item, f"the whole number {value} among fractions", allowed)
        elif value in (other for _, other in good):
            faults.fault(item, f"{value} again", "each value once")
        else:
            good.append((item, value))
    return good


def _expanded(values: Range, key: str, faults: Faults) -> list[Value]:
    """The values of a range, both ends included; none when it is reported."""
    ends = (values.start, values.stop, values.step)
    written = f"{{from: {values.start}, to: {values.stop}, step: {values.step}}}"
    if not all(map(math.isfinite, ends)) or values.start < 0 or values.step <= 0 or values.stop < values.start:
        faults.fault(key, written, "finite numbers with 0 < from <= to and step > 0")
        return []
    # Fractions, since the binary numbers nearest to 0.1, 0.2 and 0.3 make no whole number of steps.
    start, stop, step = map(exact, ends)
    steps = (stop - start) / step
    if steps >= _MOST:
        faults.fault(key, f"{written}, {int(steps) + 1} values", f"at most {_MOST} values")
        return []
    if steps.denominator != 1:
        # The range would end before `to`: better to ask which of the two ends next to it was meant.
        last = start + math.floor(steps) * step
        faults.fault(key, written, f"a whole number of steps: to {float(last):g} or to {float(last + step):g}")
        return []
    # Only whole ends and steps give sizes; one number with a point makes them all fractions of an axis.
    whole = all(isinstance(end, int) for end in ends)
    points = [start + i * step for i in range(int(steps) + 1)]
    return [int(point) if whole else float(point) for point in points]


@final
@dataclass(frozen=True)
class Scale:
    """What the values of a kind of choice mean on an axis: whole numbers are sizes, fractions are turned into sizes
    by `share`.
    """

    kind: str
    """Name of the kind, which is also the key that holds the values."""
    least: Mapping[str, int]
    """Axis -> smallest size allowed."""
    whole: Mapping[str, int]
    """Axis -> all its units."""
    share: Callable[[Fraction, str], int]
    """Size for a fraction in [0, 1] of an axis, before `least` and `multiple` are applied."""
    zero: bool = False
    """Whether the fraction 0 is allowed."""
    multiple: int = 1
    """What divides every size but that of the whole axis."""

    def size(self, value: Value, axis: str) -> int:
        """The size that a value means on an axis."""
        if isinstance(value, int):
            return value
        units = max(self.least[axis], self.share(exact(value), axis))
        if units >= self.whole[axis]:
            return self.whole[axis]
        smallest = -(-self.least[axis] // self.multiple) * self.multiple
        return min(self.whole[axis], max(smallest, units - units % self.multiple))


def scaled(
    name: str, values: Values, groups: Sequence[Group], scale: Scale, outline: Outline, faults: Faults
) -> list[Choice]:
    """One choice for each group, its values ascending; values that mean what another one means are dropped there,
    with a note.
    """
    axes = [axis for group in groups for axis in group.axes]
    good = [
        value
        for key, value in listed(values, scale.kind, faults)
        if axes and _fits(key, value, axes, scale, outline, faults)
    ]
    for group in groups:
        lengths = {outline.axes[axis]: axis for axis in group.axes}
        if len(lengths) > 1 and any(isinstance(value, int) for value in good):
            unequal = ", ".join(f"{axis} has {length} units" for length, axis in lengths.items())
            faults.fault(scale.kind, "whole numbers", f"fractions in (0, 1], since {unequal}")
            return []
    return [_choice(name, group, sorted(good), scale, faults) for group in groups] if good else []


def _fits(key: str, value: Value, axes: Sequence[str], scale: Scale, outline: Outline, faults: Faults) -> bool:
    """Whether every axis allows the value; the tightest one that does not is reported."""
    if isinstance(value, float):
        good = value <= 1 and (value > 0 or scale.zero)
        if not good:
            lower = "[0" if scale.zero else "(0"
            faults.fault(key, str(value), f"a fraction in {lower}, 1], or a whole number of units")
        return good
    low = max(axes, key=lambda axis: scale.least[axis])
    high = min(axes, key=lambda axis: outline.axes[axis])
    good = scale.least[low] <= value <= outline.axes[high]
    if not good:
        faults.fault(
            key,
            str(value),
            f"{scale.least[low]} to {outline.axes[high]}, since {high} has {outline.axes[high]} units",
        )
    elif value % scale.multiple and any(value != outline.axes[axis] for axis in axes):
        faults.fault(key, str(value), f"multiples of {scale.multiple} (multiple_of), or all {outline.axes[high]} units")
        return False
    return good


def _choice(name: str, group: Group, values: Sequence[Value], scale: Scale, faults: Faults) -> Choice:
    """The choice of one group. On short axes two fractions may be the same sizes: the smaller one stays."""
    first: dict[tuple[int, ...], Value] = {}
    for value in values:
        sizes = tuple(scale.size(value, axis) for axis in group.axes)
        if sizes in first:
            same = ", ".join(f"{axis} = {size}" for axis, size in zip(group.axes, sizes, strict=True))
            faults.note(f"{title(name, group)}: dropped {value}, which means the same as {first[sizes]} ({same})")
        else:
            first[sizes] = value
    rows = tuple(dict(zip(group.axes, sizes, strict=True)) for sizes in first)
    return Choice(title(name, group), scale.kind, tuple(first.values()), rows)
