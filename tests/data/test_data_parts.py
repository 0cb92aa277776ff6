"""Parts of a batch: together they are the batch, and mixed they are parts of the mixed batch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.data.parts import WHOLE, Part, rows_of
from nas.tasks import Batch, Mixing
from nas.tasks._mixing import ClassMixer


@given(st.integers(0, 40), st.integers(1, 9))
def test_parts_are_the_batch_and_as_even_as_pairs_can_be(count: int, ranks: int) -> None:
    parts = [rows_of(count, Part(rank, ranks)) for rank in range(ranks)]
    assert sorted(torch.cat(parts).tolist()) == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 3
    assert rows_of(count, WHOLE).tolist() == list(range(count))


@pytest.mark.parametrize("count", [1, 2, 7, 12])
@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
@pytest.mark.parametrize("mixing", [{"mixup": 0.8}, {"cutmix": 1.0}])
def test_a_part_is_mixed_as_in_the_batch(count: int, ranks: int, mixing: dict[str, float]) -> None:
    generator = torch.Generator().manual_seed(0)
    batch = Batch(torch.rand(count, 1, 6, 6, generator=generator), torch.arange(count) % 3)
    mixer = ClassMixer(Mixing(**mixing), 3)
    whole = mixer(batch, 5)
    for rank in range(ranks):
        rows = rows_of(count, Part(rank, ranks))
        part = mixer(batch.at(rows), 5)
        assert torch.equal(part.inputs, whole.inputs[rows])
        assert torch.equal(part.targets, whole.targets[rows])
