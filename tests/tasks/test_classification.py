"""Classification: losses against numbers worked out by hand and against torch.distributions, and mixing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence
from training_fakes import first_batch

from nas.tasks import Mixing
from nas.tasks.classification import Classification

TASK = Classification()
P = torch.tensor([[math.log(0.5), math.log(0.5)], [math.log(0.9), math.log(0.1)]])
Q = torch.tensor([[math.log(0.25), math.log(0.75)], [math.log(0.5), math.log(0.5)]])
TARGETS = torch.tensor([0, 1])
KL = (0.5 * math.log(2) + 0.5 * math.log(2 / 3) + 0.9 * math.log(1.8) + 0.1 * math.log(0.2)) / 2


def random_logits() -> Tensor:
    """Of two networks, 7 images, 5 classes."""
    return torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))


def test_divergence_by_hand() -> None:
    assert float(TASK.divergence(P, Q)) == pytest.approx(KL, abs=1e-6)
    assert float(TASK.divergence(Q, P)) != pytest.approx(KL, abs=1e-2)


def test_divergence_is_torchs_and_zero_for_equal_distributions() -> None:
    p, q = random_logits()
    expected = kl_divergence(Categorical(logits=p), Categorical(logits=q)).mean()
    torch.testing.assert_close(TASK.divergence(p, q), expected)
    assert float(TASK.divergence(p, p + 3.0)) == pytest.approx(0, abs=1e-6)


def test_divergence_with_temperature() -> None:
    p, q = random_logits()
    expected = 4 * kl_divergence(Categorical(logits=p / 2), Categorical(logits=q / 2)).mean()
    torch.testing.assert_close(TASK.divergence(p, q, 2.0), expected)


def test_smoothing_and_soft_targets_agree_with_hard_ones() -> None:
    one_hot = torch.nn.functional.one_hot(TARGETS, 2).float()
    for smoothing in (0.0, 0.1):
        criterion = TASK.criterion(smoothing)
        torch.testing.assert_close(criterion(P, TARGETS), criterion(P, one_hot))
    mixed = 0.3 * one_hot + 0.7 * one_hot.flip(0)
    by_hand = -(0.3 * math.log(0.5) + 0.7 * math.log(0.5) + 0.3 * math.log(0.1) + 0.7 * math.log(0.9)) / 2
    assert float(TASK.criterion()(P, mixed)) == pytest.approx(by_hand, abs=1e-6)


def test_metrics_by_hand() -> None:
    tally = TASK.tally().after(P, TARGETS)
    loss = -(math.log(0.5) + math.log(0.1)) / 2
    assert (tally.n, tally.metrics) == (2, {"accuracy": 0.5, "loss": pytest.approx(loss, rel=1e-6)})


def test_predictions_name_the_class() -> None:
    (row,) = TASK.predictions(P[1:], TARGETS[1:], ("cat", "dog"))
    assert row == {"label": "dog", "prediction": "cat", "probability": pytest.approx(0.9), "correct": False}


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_mixing_keeps_odd_batches_whole(size: int) -> None:
    mixer = TASK.mixer(Mixing(mixup=1.0), 3)
    assert mixer is not None
    batch = first_batch(size)
    mixed = mixer(batch, 1)
    assert isinstance(mixed.targets, Tensor)
    assert isinstance(batch.targets, Tensor)
    assert mixed.inputs.shape == batch.inputs.shape
    assert mixed.targets.shape == (size, 3)
    torch.testing.assert_close(mixed.targets.sum(1), torch.ones(size))
    if size % 2:
        assert torch.equal(mixed.inputs[-1], batch.inputs[-1])
        assert int(mixed.targets[-1].argmax()) == int(batch.targets[-1])
    if size > 1:
        assert not torch.equal(mixed.inputs, batch.inputs)
        last = size - size % 2 - 1  # the first image's partner
        weight = mixed.targets[0, batch.targets[0]] if batch.targets[0] != batch.targets[last] else torch.tensor(1.0)
        if weight < 1:
            blend = weight * batch.inputs[0] + (1 - weight) * batch.inputs[last]
            torch.testing.assert_close(mixed.inputs[0], blend)
