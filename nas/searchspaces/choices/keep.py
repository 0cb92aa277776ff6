"""`keep`: how many tokens stay from a block on. A token that is gone does not come back, so the number never grows.

tokens: {keep: [0.5, 0.7, 0.85, 1.0], per: block, order: never-grows}
queries: {keep: [0.5, 0.7, 0.85, 1.0], drop: true}
ffn_tokens: {keep: [0.5, 1.0]}

`tokens` are those that a block sees. `queries` are those that it computes; the others pass it by and still serve as its
keys and values, in this block and in all that follow, or, with `drop`, in this block for the last time. `ffn_tokens`
are those that its feed-forward network runs on; attention is computed for all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Literal, final

from typing_extensions import override

from nas.numbers import UnitCount
from nas.searchspaces.axis_names import QUERIES, TOKENS, axis_name, index, is_rank
from nas.searchspaces.choices._base import Choice, ChoiceKind, Faults, groups, named
from nas.searchspaces.choices._values import Scale, Values, scaled
from nas.searchspaces.outline import Outline


@final
@dataclass(frozen=True, kw_only=True)
class Keep(ChoiceKind):
    """The protected units (class and distillation tokens) stay, and of the rest the share `keep`, rounded up.

    Whole numbers count all units that stay, the protected ones included. The share 0 is allowed where something is
    protected.
    """

    keep: Values
    """Shares, numbers of tokens, or {from, to, step}."""
    of: tuple[str, ...] | None = None
    """Dimensions; left out, the one that has the choice's name."""
    order: Literal["never-grows"] = "never-grows"
    """A token that is gone stays gone: later blocks never keep more."""
    multiple_of: UnitCount = 1
    """What divides every number of tokens but that of all, the protected ones included; shares are rounded down to
    it.
    """
    drop: bool = False
    """Of queries: tokens that a block does not compute are gone after it."""

    @override
    def choices(self, name: str, outline: Outline, faults: Faults) -> list[Choice]:
        dimensions = named(name, self.of, outline, faults)
        together = groups(dimensions, self.per, outline, faults)
        axes = [axis for group in together for axis in group.axes]
        for before, after in pairwise(axes):
            if outline.axes[after] > outline.axes[before]:
                grown = f"{before} has {outline.axes[before]} units, {after} has {outline.axes[after]}"
                faults.fault("keep", f"axes that grow: {grown}", "axes that never grow from block to block")
                break
        # Of the tokens that may go, a share; the class token is none of them.
        protected = {axis: outline.protected.get(axis, 0) for axis in axes}

        def share(part: Fraction, axis: str) -> int:
            return protected[axis] + math.ceil(part * (outline.axes[axis] - protected[axis]))

        least = {axis: max(1, count) for axis, count in protected.items()}
        zero = bool(axes) and min(protected.values()) > 0
        scale = Scale("keep", least, outline.axes, share, zero, self.multiple_of)
        for dimension in filter(is_rank, dimensions):
            faults.fault("keep", f"a rank, {dimension}", "tokens or sizes; ranks may differ freely: {rank: [...]}")
        if self.drop and dimensions != [QUERIES]:
            faults.fault("drop", "true", f"false, or {QUERIES}: {{keep: ...}}: the other tokens are gone at once")
            return []
        if self.drop and TOKENS in outline.fixed:
            faults.fault("drop", f"true: {outline.fixed[TOKENS]}", "false")
            return []
        choices = [replace(choice, chain=name) for choice in scaled(name, self.keep, together, scale, outline, faults)]
        return [_dropping(choice, outline) for choice in choices] if self.drop else choices

    @classmethod
    @override
    def examples(cls) -> Sequence[tuple[str, Mapping[str, object]]]:
        return [
            ("tokens", {"keep": [0.5, 0.7, 0.85, 1.0], "per": "block", "order": "never-grows"}),
            ("tokens", {"keep": [0.3, 1.0], "per": "model"}),
            ("tokens", {"keep": {"from": 4, "to": 16, "step": 4}}),
            ("queries", {"keep": [0.5, 1.0]}),
            ("queries", {"keep": {"from": 4, "to": 16, "step": 4}, "drop": True}),
        ]


def _dropping(choice: Choice, outline: Outline) -> Choice:
    """The choice, with what the next block still sees set to what a block computes."""
    # The last block has no next one: its choice sets its queries alone.
    after = dict(pairwise(map(index, outline.dimensions[QUERIES])))
    dropped = {axis: axis_name(TOKENS, after[index(axis)]) for axis in choice.axes if index(axis) in after}
    sizes = tuple({**size, **{tokens: size[axis] for axis, tokens in dropped.items()}} for size in choice.sizes)
    return replace(choice, sizes=sizes)
