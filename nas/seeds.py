"""Seeds: every random decision of training follows from the study's seed and from where it is made (epoch, step),
never from what ran before.

A training that was killed and resumed therefore needs no stored generator state to go on exactly as it would have.
"""

from __future__ import annotations

import numpy as np

SHUFFLE, MODULE, MIXING, SAMPLING, SPLITTING, NOISE, PICTURE, RETRAINING, CONFLICTS, PARTS = range(10)
"""What a seed is for; the first number after the study's seed, so that two uses in the same epoch never share a
stream.
"""


def derive(seed: int, *where: int) -> int:
    """A seed of 32 bits for the place `where` (a purpose above, then epoch, step ...) under `seed` >= 0."""
    return int(np.random.SeedSequence([seed, *where]).generate_state(1)[0])
