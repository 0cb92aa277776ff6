"""Splits: what a batch holds, what a seed decides, how they are carved."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from training_fakes import make_split

from nas.data.augment import crop, flip
from nas.data.set_aside import set_aside
from nas.data.transforms import Augmentation, Crop, CropAndFlip
from nas.errors import DataError
from nas.tasks import Batch


def parts(batch: Batch) -> tuple[Tensor, Tensor]:
    assert isinstance(batch.targets, Tensor)
    return batch.inputs, batch.targets


def test_batches_in_order_keep_the_last_partial_one() -> None:
    split = make_split(10, 0)
    batches = list(split.batches(4))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    images, targets = (torch.cat(column) for column in zip(*map(parts, batches), strict=True))
    torch.testing.assert_close(images, (split.images.float() / 255 - 0.3) / 0.25)
    assert torch.equal(targets, parts(Batch(split.images, split.targets))[1])
    assert images.dtype == torch.float32


def test_shuffling_is_a_permutation_that_the_seed_decides() -> None:
    split = make_split(30, 0)
    orders = [torch.cat([batch.inputs for batch in split.batches(7, seed=seed)]) for seed in (1, 1, 2)]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    plain = split.normalised(split.images)
    assert torch.equal(orders[0].flatten(1).sum(1).sort().values, plain.flatten(1).sum(1).sort().values)


def test_a_shuffled_split_holds_the_same_images_with_their_targets() -> None:
    split = make_split(30, 0)
    whole = Batch(split.images, split.targets)
    mixed, again = split.shuffled(1), split.shuffled(1)
    assert torch.equal(mixed.images, again.images)
    assert not torch.equal(mixed.images, split.images)
    places = [int((split.images == image).flatten(1).all(1).nonzero()[0, 0]) for image in mixed.images]
    assert sorted(places) == list(range(30))
    assert torch.equal(parts(Batch(mixed.images, mixed.targets))[1], parts(whole.at(torch.tensor(places)))[1])


@pytest.mark.parametrize("augment", [Crop(), CropAndFlip()])
def test_augmented_batches_follow_from_the_seed(augment: Augmentation) -> None:
    split = make_split(30, 0)
    first, again, other = (
        torch.cat([batch.inputs for batch in split.batches(7, seed=seed, augment=augment)]) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    plain = torch.cat([batch.inputs for batch in split.batches(7, seed=1)])
    assert not torch.equal(first, plain)


def test_crop_shifts_by_at_most_an_eighth_and_fills_with_black() -> None:
    images = (
        torch.arange(1, 2 * 16 * 16 + 1).remainder(200).add(1).to(torch.uint8).reshape(2, 1, 16, 16).repeat(20, 1, 1, 1)
    )
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    cut = crop(images, torch.Generator().manual_seed(0))
    shifts = set()
    for before, after in zip(padded, cut, strict=True):
        shift = [(y, x) for y in range(5) for x in range(5) if torch.equal(before[:, y : y + 16, x : x + 16], after)]
        assert len(shift) == 1
        shifts |= set(shift)
    assert len(shifts) > 10


def test_flip_mirrors_about_half_of_the_images() -> None:
    images = torch.randint(0, 255, (200, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mirrored = flip(images, torch.Generator().manual_seed(1))
    kinds = [torch.equal(b.flip(-1), a) for b, a in zip(images, mirrored, strict=True)]
    same = [torch.equal(b, a) for b, a in zip(images, mirrored, strict=True)]
    assert all(a or b for a, b in zip(kinds, same, strict=True))
    assert 70 < sum(kinds) < 130


@given(st.lists(st.integers(8, 40), min_size=2, max_size=6), st.integers(0, 2**40))
def test_carve_is_stratified_disjoint_and_complete(counts: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    among = np.arange(len(labels))
    rest, taken = set_aside(labels, among, len(labels) // 4, seed, "a split")
    assert sorted([*rest, *taken]) == among.tolist()
    assert len(taken) == len(labels) // 4
    shares = np.bincount(labels[taken]) / counts
    assert np.all(np.abs(shares * counts - len(taken) / len(labels) * np.array(counts)) <= 1)
    again = set_aside(labels, among, len(labels) // 4, seed, "a split")
    assert np.array_equal(again[1], taken)


@pytest.mark.parametrize(("counts", "take"), [([20, 1], 5), ([20, 20], 1), ([3, 3, 3], 7), ([400, 2], 20)])
def test_a_split_too_small_for_its_classes(counts: list[int], take: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    with pytest.raises(DataError, match=r"data\.validation.*class"):
        set_aside(labels, np.arange(len(labels)), take, 0, "data.validation")
