"""Batches: one tensor of targets, or several by name, moved and divided alike."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from nas.tasks import Batch

INPUTS = torch.arange(10).reshape(5, 2)
BOXES, CLASSES = 10 * torch.arange(5), torch.arange(5) % 2


def named(targets: Tensor | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    assert not isinstance(targets, Tensor)
    return targets


def test_several_targets_go_with_their_inputs() -> None:
    batch = Batch(INPUTS, {"boxes": BOXES, "classes": CLASSES})
    for part, indices in ((batch.between(1, 3), [1, 2]), (batch.at(torch.tensor([4, 0])), [4, 0])):
        assert len(part) == 2
        assert torch.equal(part.inputs, INPUTS[indices])
        assert torch.equal(named(part.targets)["boxes"], BOXES[indices])
        assert torch.equal(named(part.targets)["classes"], CLASSES[indices])


def test_a_part_of_a_batch_is_a_view_and_a_selection_is_not() -> None:
    batch = Batch(INPUTS.clone(), CLASSES)
    batch.between(1, 3).inputs[:] = -1
    assert (batch.inputs[1:3] == -1).all()
    batch.at(torch.tensor([0])).inputs[:] = -1
    assert torch.equal(batch.inputs[0], INPUTS[0])


def test_all_of_it_is_moved() -> None:
    moved = Batch(INPUTS, {"boxes": BOXES}).to("meta")
    assert moved.inputs.is_meta
    assert named(moved.targets)["boxes"].is_meta


def test_a_target_for_each_input() -> None:
    with pytest.raises(AssertionError, match="a target for each input"):
        Batch(INPUTS, {"boxes": BOXES, "classes": CLASSES[:4]})
