"""How many units an axis has where some axes are chosen: its own number, or that of what it lies within."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any


def size_of(atom: str, sizes: Mapping[str, Any], axes: Mapping[str, int], within: Mapping[str, str]) -> Any:
    """Units of `atom` (an axis, a number, or several packed) where some axes have `sizes`: numbers, arrays or tensors.

    An axis that is not in `sizes` follows the one it lies within (`within`), or has all its units (`axes`).
    """
    if atom in sizes:
        return sizes[atom]
    if " " in atom:
        return math.prod(size_of(part, sizes, axes, within) for part in atom.split())
    if atom in within:
        return size_of(within[atom], sizes, axes, within)
    return int(atom) if atom.isdecimal() else axes[atom]


def leading_to(atom: str, within: Mapping[str, str]) -> Iterator[str]:
    """The axes whose sizes may decide that of `atom`: its own, and those that it lies within, and so on."""
    for part in atom.split():
        yield part
        if part in within:
            yield from leading_to(within[part], within)
