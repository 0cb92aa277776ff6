"""The sums of criterion and divergence, for classification, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from training_fakes import context

from nas.training import adjoined_loss, distillation_loss, ramp

P = torch.tensor([[math.log(0.5), math.log(0.5)], [math.log(0.9), math.log(0.1)]])
Q = torch.tensor([[math.log(0.25), math.log(0.75)], [math.log(0.5), math.log(0.5)]])
TARGETS = torch.tensor([0, 1])
KL = (0.5 * math.log(2) + 0.5 * math.log(2 / 3) + 0.9 * math.log(1.8) + 0.1 * math.log(0.2)) / 2
CE_P = -(math.log(0.5) + math.log(0.1)) / 2
CE_Q = -(math.log(0.25) + math.log(0.5)) / 2
NO_MODULE = nn.Identity()


@pytest.mark.parametrize(("progress", "weight"), [(0, 0), (0.25, 0.25), (0.5, 1), (0.75, 1)])
def test_ramp(progress: float, weight: float) -> None:
    assert ramp(progress) == weight


@pytest.mark.parametrize("progress", [0.0, 0.25, 0.9])
def test_adjoined_by_hand(progress: float) -> None:
    weight, where = min(4 * progress**2, 1), context(NO_MODULE, progress=progress)
    assert float(adjoined_loss(P, Q, TARGETS, where)) == pytest.approx(CE_P + weight * KL, abs=1e-6)
    with_small = adjoined_loss(P, Q, TARGETS, where, small_ce=True)
    assert float(with_small) == pytest.approx(CE_P + weight * KL + CE_Q, abs=1e-6)


def test_adjoined_detach_stops_the_divergence_at_the_large_network() -> None:
    gradients, where = {}, context(NO_MODULE, progress=1.0)
    for detach in (False, True):
        large, small = P.clone().requires_grad_(), Q.clone().requires_grad_()
        adjoined_loss(large, small, TARGETS, where, detach=detach).backward()  # type: ignore[no-untyped-call]
        gradients[detach] = large.grad, small.grad
    plain = P.clone().requires_grad_()
    where.criterion(plain, TARGETS).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(gradients[True][0], plain.grad)
    assert not torch.allclose(gradients[False][0], plain.grad)  # type: ignore[arg-type]
    torch.testing.assert_close(gradients[True][1], gradients[False][1])


def test_both_follow_the_recipes_smoothing() -> None:
    plain, smoothed = (context(NO_MODULE, smoothing=smoothing, progress=1.0) for smoothing in (0.0, 0.1))
    extra = float(smoothed.criterion(P, TARGETS) - plain.criterion(P, TARGETS))
    assert abs(extra) > 1e-3
    for loss in (adjoined_loss, distillation_loss):
        share = 1.0 if loss is adjoined_loss else 0.5
        both = (float(loss(P, Q, TARGETS, where)) for where in (smoothed, plain))  # type: ignore[operator]
        assert next(both) - next(both) == pytest.approx(share * extra, abs=1e-6)


def test_distillation_by_hand_leaves_the_teacher_alone() -> None:
    teacher, student = P.clone().requires_grad_(), Q.clone().requires_grad_()
    loss = distillation_loss(student, teacher, TARGETS, context(NO_MODULE), weight=0.25)
    assert float(loss.detach()) == pytest.approx(0.75 * CE_Q + 0.25 * KL, abs=1e-6)
    loss.backward()  # type: ignore[no-untyped-call]
    assert teacher.grad is None
    assert student.grad is not None
