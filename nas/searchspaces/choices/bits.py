"""`bits`: matrices, and what they are applied to, in int8 or as they are.

bits: {bits: [8, 32], of: [qkv, proj, fc1, fc2], per: block}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from nas.axes import FLOAT_BITS
from nas.searchspaces.axis_names import bits_of, is_bits, rounded_matrix
from nas.searchspaces.choices._base import Choice, ChoiceKind, Faults, groups, matrices, title
from nas.searchspaces.outline import Outline

ALLOWED = (8, FLOAT_BITS)


@final
@dataclass(frozen=True, kw_only=True)
class Bits(ChoiceKind):
    """Bits of every matrix `of`: qkv, proj, fc1, fc2. With 8, its weights are int8 with a scale for each output
    channel, and its inputs int8 with one for each token; with 32, nothing is rounded. See `nas.supernets.models.int8`.
    """

    bits: list[int]
    """8 or 32, or both."""
    of: tuple[str, ...] | None = None
    """Matrices that the choice sets together; left out, the one that has the choice's name, or all where that is
    "bits".
    """

    @override
    def choices(self, name: str, outline: Outline, faults: Faults) -> list[Choice]:
        values = self._values(faults)
        dimensions = [bits_of(matrix) for matrix in self._matrices(name, outline, faults)]
        together = groups(dimensions, self.per, outline, faults)
        if not values:
            return []
        return [
            Choice(title(name, group), "bits", tuple(values), tuple(dict.fromkeys(group.axes, bits) for bits in values))
            for group in together
        ]

    def _values(self, faults: Faults) -> list[int]:
        allowed = " or ".join(map(str, ALLOWED))
        if not self.bits:
            faults.fault("bits", "an empty list", f"{allowed}, or both")
        for i, bits in enumerate(self.bits):
            if bits not in ALLOWED:
                faults.fault(f"bits.{i}", str(bits), allowed)
            elif bits in self.bits[:i]:
                faults.fault(f"bits.{i}", f"{bits} again", "each value once")
        return sorted(set(self.bits) & set(ALLOWED))

    def _matrices(self, name: str, outline: Outline, faults: Faults) -> list[str]:
        """Users name the matrix, "fc1"; the dimension of its bits is our own word."""
        known = [rounded_matrix(d) for d in outline.dimensions if is_bits(d) and d in outline.elastic]
        if self.of is None and name == "bits" and known:
            return known
        return matrices(name, self.of, known, "bits", outline, faults)

    @classmethod
    @override
    def examples(cls) -> Sequence[tuple[str, Mapping[str, object]]]:
        return [
            ("bits", {"bits": [8, 32], "per": "block"}),
            ("fc1", {"bits": [8, 32]}),
            ("attention", {"bits": [32, 8], "of": ["qkv", "proj"], "per": "model"}),
        ]
