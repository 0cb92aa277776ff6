"""Annotations: moved, divided and joined as tensors are; boxes and masks to the letterbox and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.tasks import Annotations, Batch, TargetObject, encoded

SCALE, LEFT, TOP = 0.5, 2.0, 0.0
PICTURE = (8, 12)  # height and width; at half its size it fills 4 x 6 pixels of a letterbox of 4 x 10
SIZE = (4, 10)


def annotations(counts: list[int], first: int = 0) -> Annotations:
    """Of pictures with so many boxes each, the k-th box of all with k in its numbers and k pixels in its mask."""
    most = max(counts)
    labels = torch.full((len(counts), most), Annotations.NONE)
    masks = []
    for row, count in enumerate(counts):
        labels[row, :count] = first + torch.arange(count)
        masks.append(tuple(encoded(np.arange(96).reshape(PICTURE) < first + k) for k in range(count)))
    boxes = labels[..., None].clamp_min(0).float().expand(-1, -1, 4).clone()
    return Annotations(
        boxes=boxes,
        labels=labels,
        crowd=labels == 1,
        areas=labels.clamp_min(0).float(),
        ids=first + 10 * torch.arange(len(counts)),
        placement=torch.tensor([SCALE, SCALE, LEFT, TOP, *PICTURE]).repeat(len(counts), 1),
        size=SIZE,
        masks=tuple(masks),
    )


def same(one: Annotations, other: Annotations) -> bool:
    names = ("boxes", "labels", "crowd", "areas", "ids", "placement")
    equal = all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)
    return equal and one.size == other.size and str(one.masks) == str(other.masks)


def test_they_are_divided_and_joined_again() -> None:
    whole = annotations([2, 0, 3])
    assert isinstance(whole, TargetObject)
    assert not isinstance(whole.boxes, TargetObject)
    assert same(Annotations.joined([whole.between(0, 1), whole.between(1, 3)]), whole)
    assert same(whole.at(torch.tensor([0, 1, 2])), whole)
    turned = whole.at(torch.tensor([2, 0]))
    assert turned.counts().tolist() == [3, 2]
    assert turned.masks is not None
    assert [len(masks) for masks in turned.masks] == [3, 2]
    assert len(whole.between(1, 1)) == 0


def test_joined_ones_are_padded_to_the_one_with_most_boxes() -> None:
    joined = Annotations.joined([annotations([1]), annotations([3], first=5)])
    assert joined.labels.tolist() == [[0, -1, -1], [5, 6, 7]]
    assert joined.boxes[0, 1:].abs().sum() == 0
    assert joined.boxes[1, 2].tolist() == [7, 7, 7, 7]
    assert joined.ids.tolist() == [0, 5]


def test_a_batch_takes_them_as_targets() -> None:
    batch = Batch(torch.arange(6).reshape(3, 2), annotations([2, 0, 3]))
    for part, ids in ((batch.between(1, 3), [10, 20]), (batch.at(torch.tensor([2, 0])), [20, 0])):
        assert isinstance(part.targets, Annotations)
        assert part.targets.ids.tolist() == ids
    moved = batch.to("meta").targets
    assert isinstance(moved, Annotations)
    assert moved.boxes.is_meta
    assert moved.masks is not None
    with pytest.raises(AssertionError, match="a target for each input"):
        Batch(torch.zeros(2, 1), annotations([1]))


def test_boxes_go_back_to_the_picture_and_end_at_its_borders() -> None:
    boxes = torch.tensor([[2.0, 0, 8, 4], [3, 1, 4, 2], [-5, -5, 20, 20]])
    restored = annotations([0, 1]).restored(1, boxes)
    assert restored.tolist() == [[0, 0, 12, 8], [2, 2, 4, 4], [0, 0, 12, 8]]


def test_masks_lie_in_the_letterbox_where_their_picture_does() -> None:
    left_half = np.zeros(PICTURE, bool)
    left_half[:, :6] = True
    whole = annotations([1])
    masks = Annotations(**{**vars(whole), "masks": ((encoded(left_half),),)}).letterboxed_masks(0)
    assert masks.shape == (1, *SIZE)
    assert masks[0].nonzero()[:, 1].unique().tolist() == [2, 3, 4]
    assert masks[0, :, 2:5].all()
    assert annotations([0]).letterboxed_masks(0).shape == (0, *SIZE)


@pytest.mark.parametrize("seed", range(4))
def test_run_lengths_give_the_mask_again(seed: int) -> None:
    mask = np.random.default_rng(seed).random((5, 7)) < (0, 0.3, 0.7, 1)[seed]
    lengths = encoded(mask)
    assert np.array_equal(lengths.decoded(), mask)
    assert lengths.area == mask.sum()
    assert int(lengths.counts.sum()) == mask.size


def test_columns_come_first_and_zeros_begin() -> None:
    corner: Tensor = torch.zeros(2, 3, dtype=torch.bool)
    corner[1, 0] = corner[0, 1] = True
    assert encoded(corner.numpy()).counts.tolist() == [1, 2, 3]
    assert encoded(~corner.numpy()).counts.tolist() == [0, 1, 2, 3]
