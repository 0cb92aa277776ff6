"""Sums of a task's criterion and divergence: the losses of adjoined and of distilled training."""

from __future__ import annotations

from torch import Tensor

from nas.tasks import Outputs, Targets
from nas.training.step import StepContext


def ramp(progress: float) -> float:
    """lambda(t) = min(4 t^2, 1): the weight of the divergence in adjoined training, 1 from half-time on. `progress` t
    in [0, 1].
    """
    return min(4.0 * progress**2, 1.0)


def adjoined_loss(
    large: Outputs,
    small: Outputs,
    targets: Targets,
    context: StepContext,
    *,
    detach: bool = False,
    small_ce: bool = False,
) -> Tensor:
    """criterion(large) + lambda(t) divergence(large, small): two networks that share weights learn together (Goel, ASU
    thesis 2023). `large` and `small` are their outputs; t is `context.progress`.

    `detach` stops the divergence from also pulling the large network towards the small one (the thesis and its code
    let it); `small_ce` adds the small network's own criterion, as sandwich training does.
    """
    task, criterion = context.task, context.criterion
    reference = task.detached(large) if detach else large
    loss = criterion(large, targets) + ramp(context.progress) * task.divergence(reference, small)
    return loss + criterion(small, targets) if small_ce else loss


def distillation_loss(
    student: Outputs,
    teacher: Outputs,
    targets: Targets,
    context: StepContext,
    *,
    weight: float = 0.5,
    temperature: float = 1.0,
) -> Tensor:
    """(1 - weight) criterion(student) + weight divergence(teacher, student), the teacher held fixed (Hinton et al.
    2015).
    """
    loss = (1 - weight) * context.criterion(student, targets)
    return loss + weight * context.task.divergence(context.task.detached(teacher), student, temperature)


def in_place_loss(student: Outputs, largest: Outputs, targets: Targets, context: StepContext, share: float) -> Tensor:
    """Share criterion(student) + (1 - share) divergence(largest, student), where `largest` are the outputs of the
    largest sub-network on the same batch, held fixed. What weighs nothing is not computed.
    """
    if share == 1:
        return context.criterion(student, targets)
    lesson = context.task.divergence(largest, student)
    return share * context.criterion(student, targets) + (1 - share) * lesson if share else lesson
