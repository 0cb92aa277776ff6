"""`rank`: matrices factored into two of lower rank.

rank: {rank: [0.25, 0.5, 1.0], of: [qkv, proj, fc1, fc2], per: block}
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from nas.numbers import UnitCount
from nas.searchspaces.axis_names import is_rank, rank_of, ranked_matrix
from nas.searchspaces.choices._base import Choice, ChoiceKind, Faults, groups, matrices
from nas.searchspaces.choices._values import Scale, Values, scaled
from nas.searchspaces.outline import Outline


@final
@dataclass(frozen=True, kw_only=True)
class Rank(ChoiceKind):
    """Rank of every matrix `of`: qkv, proj, fc1, fc2. A matrix stays whole at the full rank (1.0), and at every other
    one at which two factors would cost no less than what is left of it: those are one network, named by the last.
    """

    rank: Values
    """Numbers, fractions of the full rank, or {from, to, step}."""
    of: tuple[str, ...] | None = None
    """Matrices that the choice sets together; left out, the one that has the choice's name."""
    multiple_of: UnitCount = 1
    """What divides every rank but the full one; fractions are rounded down to it."""

    @override
    def choices(self, name: str, outline: Outline, faults: Faults) -> list[Choice]:
        # Users name the matrix, "fc1"; the dimension of its rank is our own word.
        known = [ranked_matrix(d) for d in outline.dimensions if is_rank(d) and d in outline.elastic]
        dimensions = [rank_of(matrix) for matrix in matrices(name, self.of, known, "rank", outline, faults)]
        share = lambda part, axis: math.floor(part * outline.axes[axis])  # noqa: E731
        least = dict.fromkeys(outline.axes, 1)
        scale = Scale("rank", least, outline.axes, share, multiple=self.multiple_of)
        return scaled(name, self.rank, groups(dimensions, self.per, outline, faults), scale, outline, faults)

    @classmethod
    @override
    def examples(cls) -> Sequence[tuple[str, Mapping[str, object]]]:
        return [
            ("rank", {"rank": [0.25, 0.5, 1.0], "of": ["qkv", "proj", "fc1", "fc2"], "per": "block"}),
            ("fc1", {"rank": [8, 16]}),
        ]
