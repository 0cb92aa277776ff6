"""A lack of memory, as a sentence: what did not fit, and what to set. Whoever allocates by what a user may set says so
here; the allocators' own exceptions are known here alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from nas.errors import MemoryShortageError

ANYTHING = "free some, or take a smaller model or smaller images (data.image_size)"
"""What helps where no batch is to blame that a user can set."""
_SIGNS = re.compile(
    r"(can't|cannot|unable to) allocate|(out of|not enough) memory|alloc_failed|bad_alloc", re.IGNORECASE
)
_AMOUNT = re.compile(r"(?:tried to|unable to) allocate ([\d.]+ [KMGTP]?i?B(?:ytes)?)", re.IGNORECASE)


@contextmanager
def memory_for(task: str, remedy: str = ANYTHING) -> Iterator[None]:
    """Raises `MemoryShortageError` where memory is too little for `task` ("train in batches of 64"); `remedy` says what
    to set. The innermost of nested calls speaks.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as fault:  # torch's own are RuntimeErrors
        if not lacks_memory(fault):
            raise
        amount = _AMOUNT.search(str(fault))
        asked = f" ({amount[1]} at once)" if amount else ""
        raise MemoryShortageError(f"not enough memory to {task}{asked}; {remedy}") from fault


@contextmanager
def memory_of(stage: str) -> Iterator[None]:
    """As `memory_for` a stage of a run, whose name begins the sentence, whoever in it speaks."""
    try:
        with memory_for("go on"):
            yield
    except MemoryShortageError as fault:
        raise MemoryShortageError(
            f"{stage}: {fault}; what is finished is kept, and run again it goes on from there"
        ) from fault


def lacks_memory(fault: BaseException) -> bool:
    """Whether an exception is that of an allocator."""
    return isinstance(fault, MemoryError) or _SIGNS.search(str(fault)) is not None
