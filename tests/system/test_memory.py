"""What allocators raise becomes a sentence. The allocations are real, and far too large for any machine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from nas.errors import MemoryShortageError, NasError
from nas.system.memory import memory_for, memory_of

ALLOCATORS: dict[str, Callable[[], object]] = {
    "torch": lambda: torch.empty(2**50),
    "numpy": lambda: np.empty(2**50),
    "python": lambda: bytearray(2**60),
}


@pytest.mark.parametrize("name", ALLOCATORS)
def test_what_allocators_raise_becomes_a_sentence(name: str) -> None:
    with (
        pytest.raises(MemoryShortageError, match=r"^not enough memory to train.*; set a smaller batch$") as fault,
        memory_for("train in batches of 64", "set a smaller batch"),
    ):
        ALLOCATORS[name]()
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    "message", ["CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has ...", "CUDA error: out of memory"]
)
def test_a_gpu_says_it_in_other_words(message: str) -> None:
    with pytest.raises(MemoryShortageError, match="not enough memory to go on"), memory_for("go on"):
        raise torch.OutOfMemoryError(message)


def test_other_faults_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), memory_of("base"):
        torch.zeros(2, 3) @ torch.zeros(2, 3)
    with pytest.raises(NasError, match=r"^out of memory$"), memory_of("base"):
        raise NasError("out of memory")


def test_the_innermost_speaks_and_the_stage_begins() -> None:
    with (
        pytest.raises(MemoryShortageError, match=r"^retrain: not enough memory to time batches of 4 \(\d+ bytes"),
        memory_of("retrain"),
        memory_for("train in batches of 8"),
        memory_for("time batches of 4"),
    ):
        torch.empty(2**50)
