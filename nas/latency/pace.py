"""A machine's pace from one pass to the next: what else runs on it, and its frequency, slow all passes down alike for
some tenths of a second or some seconds. Passes take turns in a random order, so that each one's neighbours tell its
pace: by how much longer they took than they do in the middle of all rounds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import median_filter

NEIGHBOURS = 13
"""Passes, itself among them, that tell one's pace: fewer are noisy themselves, more see less of what changes fast. Of
three to 101, nine to 13 made copies of a model differ least, of the digits' ViT and of DeiT-Ti (studies/LOG.md).
"""
FASTEST = 0.1
"""The quantile of all paces that counts as the machine's own: what disturbs it makes passes slower, never faster."""
POLISHES = 3


def paces(numbers: Sequence[int], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much longer each pass took for the machine's pace, in the order in which they ran: 1 where it was at its
    fastest, about. `numbers` say which passes are the same one's.
    """
    logs, found = pd.Series(np.log(np.maximum(seconds, 1e-12))), np.zeros(len(seconds))
    for _ in range(POLISHES):
        own = (logs - found).groupby(np.array(numbers)).transform("median")
        found = median_filter((logs - own).to_numpy(), NEIGHBOURS, mode="nearest")
    slower: NDArray[np.float64] = np.exp(found - np.quantile(found, FASTEST))
    return slower
