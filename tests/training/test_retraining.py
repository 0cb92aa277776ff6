"""Retraining steps: adjoined, distilled, plain."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from training_fakes import FakeSupernet, make_data, make_net, same_weights

from nas.searchspaces.architecture import Architecture
from nas.training import (
    AdjoinedStep,
    DistilledStep,
    PlainStep,
    Recipe,
    Session,
    StepContext,
    accuracy,
    adjoined_loss,
    cross_entropy,
    distillation_loss,
    fit,
)

LARGE, SMALL = Architecture({"width": 8}), Architecture({"width": 4})
RECIPE = Recipe(epochs=10, lr=2e-2, batch=8, warmup=1)


def batch() -> tuple[Tensor, Tensor]:
    split = make_data().train
    return split.normalised(split.images[:8]), split.labels[:8]


def context(module: nn.Module) -> StepContext:
    return StepContext(module, cross_entropy(0.1), 0, 0, 0, 4, 0.4)


def test_adjoined_step_trains_two_sub_networks_of_shared_weights() -> None:
    net = FakeSupernet()
    images, labels = batch()
    (found,) = AdjoinedStep(SMALL, LARGE)(images, labels, context(net))
    assert net.ran == [LARGE, SMALL]
    large, small = net.subnet(LARGE)(images), net.subnet(SMALL)(images)
    torch.testing.assert_close(found, adjoined_loss(large, small, labels, 0.4, criterion=cross_entropy(0.1)))
    fit(net, AdjoinedStep(SMALL, LARGE), make_data(), RECIPE, seed=0, session=Session(progress=False))
    assert accuracy(net.subnet(SMALL), make_data().test).accuracy == 1.0


def test_distilled_step_holds_the_teacher_fixed() -> None:
    teacher, student = make_net(1), make_net(2)
    images, labels = batch()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    step = DistilledStep(teacher, weight=0.7, temperature=2.0)
    student.eval()
    (found,) = step(images, labels, context(student))
    expected = distillation_loss(
        student(images), teacher(images), labels, weight=0.7, temperature=2.0, criterion=cross_entropy(0.1)
    )
    torch.testing.assert_close(found, expected)
    fit(student, step, make_data(), RECIPE, seed=0, session=Session(progress=False))
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())


@torch.no_grad()
def disagreement(a: nn.Module, b: nn.Module, images: Tensor) -> float:
    return float((a(images).softmax(1) - b(images).softmax(1)).abs().mean())


def test_a_distilled_student_of_weight_one_comes_to_agree_with_its_teacher() -> None:
    teacher = make_net(1)
    fit(teacher, PlainStep(), make_data(), RECIPE, seed=0, session=Session(progress=False))
    student = make_net(2)
    data = make_data()
    images = data.test.normalised(data.test.images)
    gap = disagreement(teacher, student.eval(), images)
    fit(student, DistilledStep(teacher, weight=1.0), data, RECIPE, seed=0, session=Session(progress=False))
    assert disagreement(teacher, student, images) < 0.5 * gap
    assert not same_weights(teacher, student)
