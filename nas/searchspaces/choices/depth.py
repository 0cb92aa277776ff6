"""`depth`: how many blocks stay, the first ones; the others are skipped.

depth: {depth: [8, 10, 12]}
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from typing_extensions import override

from nas.searchspaces.axis_names import DEPTH
from nas.searchspaces.choices._base import Choice, ChoiceKind, Faults, Group, elastic, groups, title
from nas.searchspaces.choices._values import Values, exact, listed
from nas.searchspaces.outline import Level, Outline


@final
@dataclass(frozen=True, kw_only=True)
class Depth(ChoiceKind):
    """The first `depth` blocks of the model, or of each of its stages, stay; a fraction is rounded down, to one block
    at least.
    """

    depth: Values
    """How many blocks stay: numbers, fractions, or {from, to, step}."""

    @override
    def choices(self, name: str, outline: Outline, faults: Faults) -> list[Choice]:
        level: Level = "stage" if outline.staged else "model"
        values = listed(self.depth, "depth", faults)
        if not elastic([DEPTH], "", outline, faults):
            return []
        if self.per not in (None, level):
            faults.fault("per", f"'{self.per}'", f"'{level}' for {outline.model}")
        stacks = groups([DEPTH], level, outline, faults)
        # All stages have the same values, so the shortest stage says what the values may be.
        shortest = min(stacks, key=lambda group: len(group.axes))
        good = [value for key, value in values if _fits(key, value, shortest, faults)]
        return [_choice(name, group, sorted(good), faults) for group in stacks] if good else []

    @classmethod
    @override
    def examples(cls) -> Sequence[tuple[str, Mapping[str, object]]]:
        return [
            ("depth", {"depth": [2, 3, 4]}),
            ("depth", {"depth": [0.5, 1.0], "per": "stage"}),
            ("blocks", {"depth": {"from": 1, "to": 2, "step": 1}}),
        ]


def _fits(key: str, value: float, shortest: Group, faults: Faults) -> bool:
    """Whether even the shortest stack of blocks is long enough for the value; reported at `key` when it is not."""
    most = len(shortest.axes) if isinstance(value, int) else 1
    good = 0 < value <= most
    if not good:
        stage = f"stage {shortest.index}" if shortest.index else "the model"
        allowed = f"1 to {most}, since {stage} has {most} blocks" if isinstance(value, int) else "a fraction in (0, 1]"
        faults.fault(key, str(value), allowed)
    return good


def _choice(name: str, group: Group, values: Sequence[int | float], faults: Faults) -> Choice:
    counts: dict[int, int | float] = {}
    for value in values:
        count = value if isinstance(value, int) else max(1, math.floor(exact(value) * len(group.axes)))
        if count in counts:
            faults.note(
                f"{title(name, group)}: dropped {value}, which means the same as {counts[count]} ({count} blocks)"
            )
        else:
            counts[count] = value
    rows = tuple({axis: int(i < count) for i, axis in enumerate(group.axes)} for count in counts)
    assert all(a < b for a, b in pairwise(counts))
    return Choice(title(name, group), "depth", tuple(counts.values()), rows)
