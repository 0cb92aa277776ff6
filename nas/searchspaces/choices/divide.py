"""`divide`: one factor that divides several axes of a block together (the alpha of the adjoined networks).

alpha: {divide: [heads, mlp], by: [1, 2, 4, 8], per: block}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from nas.numbers import UnitCount
from nas.searchspaces.choices._base import Choice, ChoiceKind, Faults, Group, elastic, groups, title
from nas.searchspaces.outline import Outline


@final
@dataclass(frozen=True, kw_only=True)
class Divide(ChoiceKind):
    """Every axis of the dimensions keeps its size divided by the factor; factors that leave a remainder are dropped
    there and noted.
    """

    divide: tuple[str, ...]
    """Dimensions that are divided together, such as [heads, mlp]."""
    by: tuple[int, ...]
    """The factors; 1 leaves the axes whole."""
    multiple_of: UnitCount = 1
    """What divides every size but that of the whole axis; factors that leave other sizes are dropped there, too."""

    @override
    def choices(self, name: str, outline: Outline, faults: Faults) -> list[Choice]:
        """The values are the factors, the greatest first, since it makes the smallest
        sub-network.
        """
        if not self.by:
            faults.fault("by", "an empty list", "at least one factor, such as [1, 2, 4]")
        good: list[int] = []
        for i, factor in enumerate(self.by):
            if factor < 1 or factor in good:
                faults.fault(
                    f"by.{i}", f"{factor}{' again' if factor in good else ''}", "whole numbers from 1, each once"
                )
            else:
                good.append(factor)
        together = groups(elastic(self.divide, "divide", outline, faults), self.per, outline, faults)
        factors = sorted(good, reverse=True)
        choices = [self._choice(name, group, factors, outline, faults) for group in together] if factors else []
        # Some factors may be left out where they do not divide; a group without any factor would have no value.
        barren = [group for group, choice in zip(together, choices, strict=True) if choice is None] if factors else []
        if barren:
            others = len(barren) - 1
            more = f" (nor the axes of {others} more group{'s' * (others > 1)})" if others else ""
            units = f"{_units(barren[0], outline)}{more}"
            faults.fault(
                "by", f"{list(self.by)}, none of which divides {units}", "a factor that divides all, such as 1"
            )
        return [choice for choice in choices if choice is not None]

    def _choice(
        self, name: str, group: Group, factors: Sequence[int], outline: Outline, faults: Faults
    ) -> Choice | None:
        """The choice of one group; None when no factor divides all its axes."""
        good: list[int] = []
        bad: list[int] = []
        for factor in factors:
            (good if all(self._divides(factor, axis, outline) for axis in group.axes) else bad).append(factor)
        if good and bad:
            dropped = ", ".join(map(str, sorted(bad)))
            verb = "does" if len(bad) == 1 else "do"
            into = f" into multiples of {self.multiple_of}" if self.multiple_of > 1 else ""
            faults.note(
                f"{title(name, group)}: dropped {dropped}, which {verb} not divide {_units(group, outline)}{into}"
            )
        rows = tuple({axis: outline.axes[axis] // factor for axis in group.axes} for factor in good)
        return Choice(title(name, group), "divide", tuple(good), rows) if good else None

    def _divides(self, factor: int, axis: str, outline: Outline) -> bool:
        units, rest = divmod(outline.axes[axis], factor)
        enough = units >= max(1, outline.protected.get(axis, 0))
        return not rest and enough and (factor == 1 or units % self.multiple_of == 0)

    @classmethod
    @override
    def examples(cls) -> Sequence[tuple[str, Mapping[str, object]]]:
        return [
            ("alpha", {"divide": ["heads", "mlp"], "by": [1, 2, 4, 8], "per": "block"}),
            ("alpha", {"divide": ["mlp"], "by": [2, 4], "per": "stage"}),
            ("alpha", {"divide": ["heads", "mlp"], "by": [1, 3], "per": "model"}),
        ]


def _units(group: Group, outline: Outline) -> str:
    return ", ".join(f"{axis} = {outline.axes[axis]}" for axis in group.axes)
