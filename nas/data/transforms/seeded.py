"""Random numbers of one picture: the global generators that timm and torchvision draw from, set by its seed and given
back.

They belong to the whole process: no two threads may be in here, nor draw meanwhile.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch

_kept = ContextVar("kept", default=False)


@contextmanager
def generators_kept() -> Iterator[None]:
    """Python's, numpy's and torch's generators are afterwards as they were before. It may be entered again inside,
    which costs nothing: what it does takes as long as a picture of 32 pixels.
    """
    if _kept.get():
        yield
        return
    python, arrays, tensors = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    token = _kept.set(True)
    try:
        yield
    finally:
        _kept.reset(token)
        random.setstate(python)
        np.random.set_state(arrays)  # noqa: NPY002
        torch.set_rng_state(tensors)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The generators begin anew at `seed` (32 bits), and are kept."""
    with generators_kept():
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which seeds the GPUs as well
        yield
