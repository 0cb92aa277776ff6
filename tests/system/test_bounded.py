"""Work in another process: what it returns, raises, or does not end with, as one sentence."""

from __future__ import annotations

import json
import time

import pytest

from nas.errors import NasError
from nas.system.bounded import bounded


def test_the_answer_comes_back() -> None:
    assert bounded(json.dumps, [1, 2], seconds=60, gibibytes=4, task="write it") == "[1, 2]"


@pytest.mark.parametrize(
    ("work", "argument", "reason"),
    [
        (json.loads, "[", "read it: it failed with JSONDecodeError: Expecting value"),
        (bytearray, 2**34, "not enough memory: 1 GiB are allowed"),
        (time.sleep, 60, "read it: not done after 1 s; allow more"),
    ],
)
def test_what_goes_wrong_is_a_sentence(work: object, argument: object, reason: str) -> None:
    """In bounded time."""
    start = time.monotonic()
    with pytest.raises(NasError, match=reason):
        bounded(work, argument, seconds=1 if work is time.sleep else 60, gibibytes=1, task="read it")  # type: ignore[arg-type]
    assert time.monotonic() - start < 30
