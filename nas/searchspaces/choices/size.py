"""`size`: how many units of an axis stay, as whole numbers or as fractions of the axis.

heads: {size: [1, 2, 3], per: block}
width: {size: [0.5, 0.75, 1.0], of: [heads, mlp], per: stage}
mlp:   {size: {from: 0.1, to: 1.0, step: 0.05}, multiple_of: 64}
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from nas.numbers import UnitCount
from nas.searchspaces.axis_names import DEPTH, FFN_TOKENS, QUERIES, TOKENS
from nas.searchspaces.choices._base import Choice, ChoiceKind, Faults, groups, named
from nas.searchspaces.choices._values import Scale, Values, scaled
from nas.searchspaces.outline import Outline

_OTHER = {TOKENS: "keep", QUERIES: "keep", FFN_TOKENS: "keep", DEPTH: "depth"}
"""Dimensions whose sizes are not free, and the kind of choice that knows their rule."""


@final
@dataclass(frozen=True, kw_only=True)
class Size(ChoiceKind):
    """The first `size` units of every axis of the dimensions `of` stay; a fraction is rounded down, to one unit at
    least.
    """

    size: Values
    """Numbers of units, fractions, or {from, to, step}."""
    of: tuple[str, ...] | None = None
    """Dimensions that the choice sets together; left out, the one that has the choice's name."""
    multiple_of: UnitCount = 1
    """What divides every size but that of the whole axis, as devices like it; fractions are rounded down to it."""

    @override
    def choices(self, name: str, outline: Outline, faults: Faults) -> list[Choice]:
        dimensions = named(name, self.of, outline, faults)
        for dimension in dimensions:
            if dimension in _OTHER:
                faults.fault("size", f"a size of {dimension}", f"{_OTHER[dimension]}: [...]")
        least = {axis: max(1, outline.protected.get(axis, 0)) for axis in outline.axes}
        share = lambda part, axis: math.floor(part * outline.axes[axis])  # noqa: E731
        scale = Scale("size", least, outline.axes, share, multiple=self.multiple_of)
        return scaled(name, self.size, groups(dimensions, self.per, outline, faults), scale, outline, faults)

    @classmethod
    @override
    def examples(cls) -> Sequence[tuple[str, Mapping[str, object]]]:
        return [
            ("heads", {"size": [1, 2, 3]}),
            ("mlp", {"size": {"from": 0.25, "to": 1.0, "step": 0.25}, "per": "block"}),
            ("width", {"size": [1.0, 0.5], "of": ["heads", "mlp"], "per": "stage"}),
            ("mlp", {"size": [0.4, 0.8], "per": "model"}),
            ("embed", {"size": [0.5, 1.0]}),
            ("mlp", {"size": [0.4, 0.8, 1.0], "multiple_of": 2}),
        ]
