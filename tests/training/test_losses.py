"""The losses, against numbers worked out by hand and against torch.distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from nas.training import adjoined_loss, cross_entropy, distillation_loss, divergence, ramp

P = torch.tensor([[math.log(0.5), math.log(0.5)], [math.log(0.9), math.log(0.1)]])
Q = torch.tensor([[math.log(0.25), math.log(0.75)], [math.log(0.5), math.log(0.5)]])
TARGETS = torch.tensor([0, 1])
KL = (0.5 * math.log(2) + 0.5 * math.log(2 / 3) + 0.9 * math.log(1.8) + 0.1 * math.log(0.2)) / 2
CE_P = -(math.log(0.5) + math.log(0.1)) / 2
CE_Q = -(math.log(0.25) + math.log(0.5)) / 2


def test_divergence_by_hand() -> None:
    assert float(divergence(P, Q)) == pytest.approx(KL, abs=1e-6)
    assert float(divergence(Q, P)) != pytest.approx(KL, abs=1e-2)


def test_divergence_is_torchs_and_zero_for_equal_networks() -> None:
    p, q = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    expected = kl_divergence(Categorical(logits=p), Categorical(logits=q)).mean()
    torch.testing.assert_close(divergence(p, q), expected)
    assert float(divergence(p, p + 3.0)) == pytest.approx(0, abs=1e-6)


def test_divergence_with_temperature() -> None:
    p, q = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    expected = 4 * kl_divergence(Categorical(logits=p / 2), Categorical(logits=q / 2)).mean()
    torch.testing.assert_close(divergence(p, q, 2.0), expected)


@pytest.mark.parametrize(("progress", "weight"), [(0, 0), (0.25, 0.25), (0.5, 1), (0.75, 1)])
def test_ramp(progress: float, weight: float) -> None:
    assert ramp(progress) == weight


@pytest.mark.parametrize("progress", [0.0, 0.25, 0.9])
def test_adjoined_by_hand(progress: float) -> None:
    weight = min(4 * progress**2, 1)
    assert float(adjoined_loss(P, Q, TARGETS, progress)) == pytest.approx(CE_P + weight * KL, abs=1e-6)
    with_small = adjoined_loss(P, Q, TARGETS, progress, small_ce=True)
    assert float(with_small) == pytest.approx(CE_P + weight * KL + CE_Q, abs=1e-6)


def test_adjoined_detach_stops_the_divergence_at_the_large_network() -> None:
    gradients = {}
    for detach in (False, True):
        large, small = P.clone().requires_grad_(), Q.clone().requires_grad_()
        adjoined_loss(large, small, TARGETS, 1.0, detach=detach).backward()  # type: ignore[no-untyped-call]
        gradients[detach] = large.grad, small.grad
    plain = P.clone().requires_grad_()
    cross_entropy()(plain, TARGETS).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(gradients[True][0], plain.grad)
    assert not torch.allclose(gradients[False][0], plain.grad)  # type: ignore[arg-type]
    torch.testing.assert_close(gradients[True][1], gradients[False][1])


def test_smoothing_and_soft_targets_agree_with_hard_ones() -> None:
    one_hot = torch.nn.functional.one_hot(TARGETS, 2).float()
    for smoothing in (0.0, 0.1):
        criterion = cross_entropy(smoothing)
        torch.testing.assert_close(criterion(P, TARGETS), criterion(P, one_hot))
    mixed = 0.3 * one_hot + 0.7 * one_hot.flip(0)
    by_hand = -(0.3 * math.log(0.5) + 0.7 * math.log(0.5) + 0.3 * math.log(0.1) + 0.7 * math.log(0.9)) / 2
    assert float(cross_entropy()(P, mixed)) == pytest.approx(by_hand, abs=1e-6)


def test_distillation_by_hand_leaves_the_teacher_alone() -> None:
    teacher, student = P.clone().requires_grad_(), Q.clone().requires_grad_()
    loss = distillation_loss(student, teacher, TARGETS, weight=0.25)
    assert float(loss.detach()) == pytest.approx(0.75 * CE_Q + 0.25 * KL, abs=1e-6)
    loss.backward()  # type: ignore[no-untyped-call]
    assert teacher.grad is None
    assert student.grad is not None
