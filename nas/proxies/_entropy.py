"""How evenly something is spread over directions."""

from __future__ import annotations

import torch
from torch import Tensor


def entropy(amounts: Tensor) -> float:
    """Of amounts >= 0 (n,), as shares of their sum: 0 where one has all, log n where all have the same."""
    shares = amounts / amounts.sum()
    return float(-torch.xlogy(shares, shares).sum())
