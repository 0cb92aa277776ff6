"""How many units an axis has where some axes are chosen: its own number, or that of what it lies within.

What stands in one place of a dimension is an axis, a number, several of them packed ("heads.3 head_dim.3", the last
varies fastest), or such packs one behind the other ("heads.3 head_dim.3 + mlp.3").
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

JOIN = " + "
"""Between what stands one behind the other."""


def size_of(atom: str, sizes: Mapping[str, Any], axes: Mapping[str, int], within: Mapping[str, str]) -> Any:
    """Units of `atom` where some axes have `sizes`: numbers, arrays or tensors.

    An axis that is not in `sizes` follows the one it lies within (`within`), or has all its units (`axes`).
    """
    if atom in sizes:
        return sizes[atom]
    if JOIN in atom:
        return sum(size_of(part, sizes, axes, within) for part in atom.split(JOIN))
    if " " in atom:
        return math.prod(size_of(part, sizes, axes, within) for part in atom.split())
    if atom in within:
        return size_of(within[atom], sizes, axes, within)
    return int(atom) if atom.isdecimal() else axes[atom]


def packs_of(atom: str) -> list[list[str]]:
    """The axes and numbers of each pack in `atom`, of those that stand one behind the other."""
    return [pack.split() for pack in atom.split(JOIN)]


def parts_of(atom: str) -> list[str]:
    """Every axis and number in `atom`."""
    return [part for pack in packs_of(atom) for part in pack]


def leading_to(atom: str, within: Mapping[str, str]) -> Iterator[str]:
    """The axes whose sizes may decide that of `atom`: its own, and those that it lies within, and so on."""
    for part in parts_of(atom):
        yield part
        if part in within:
            yield from leading_to(within[part], within)
