"""Which rows of a batch are a rank's."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Part(NamedTuple):
    """What one of several ranks runs of each batch; by default, all of it."""

    rank: int = 0
    ranks: int = 1


WHOLE = Part()


def rows_of(count: int, part: Part) -> Tensor:
    """Rows of a batch of `count` that are one rank's (int64, ascending). A small batch may leave it none.

    Mixing pairs row i with the i-th from behind, and leaves the last of an odd batch alone. A part is made of whole
    such pairs, so that mixed by itself it is what it would be of the mixed batch. The parts of all ranks are the batch.
    """
    pairs = count // 2
    start, stop = pairs * part.rank // part.ranks, pairs * (part.rank + 1) // part.ranks
    behind = 2 * pairs
    odd = [count - 1] if count % 2 and part.rank == part.ranks - 1 else []
    return torch.cat([torch.arange(start, stop), torch.arange(behind - stop, behind - start), torch.tensor(odd).long()])
