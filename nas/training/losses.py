"""Losses on logits: cross-entropy with hard or soft targets, the divergence between two networks, and their sums in
adjoined and distilled training.

Legend: B images of a batch, K classes. Targets are class numbers (int64, B) or, after mixup, class probabilities
(float, B x K).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional

Criterion = Callable[[Tensor, Tensor], Tensor]
"""(logits B x K, targets) -> mean loss."""


def cross_entropy(smoothing: float = 0.0) -> Criterion:
    """Mean cross-entropy that spreads `smoothing` of each target over all classes."""
    return partial(functional.cross_entropy, label_smoothing=smoothing)


def divergence(p_BK: Tensor, q_BK: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(p || q) between the distributions of two logit tensors, mean over the batch, times temperature^2 (which keeps
    the gradients' scale).

    Gradients flow into both; detach `p_BK` for a fixed teacher.
    """
    log_p, log_q = (functional.log_softmax(logits.float() / temperature, dim=1) for logits in (p_BK, q_BK))
    return functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True) * temperature**2


def ramp(progress: float) -> float:
    """lambda(t) = min(4 t^2, 1): the weight of the divergence in adjoined training, 1 from half-time on. `progress` t
    in [0, 1].
    """
    return min(4.0 * progress**2, 1.0)


def adjoined_loss(
    large_BK: Tensor,
    small_BK: Tensor,
    targets: Tensor,
    progress: float,
    *,
    detach: bool = False,
    small_ce: bool = False,
    criterion: Criterion = functional.cross_entropy,
) -> Tensor:
    """CE(large) + lambda(t) KL(large || small): two networks that share weights learn together (Goel, ASU thesis
    2023).

    `detach` stops the divergence from also pulling the large network towards the small one (the thesis and its code
    let it); `small_ce` adds the small network's own cross-entropy, as sandwich training does.
    """
    loss = criterion(large_BK, targets) + ramp(progress) * divergence(
        large_BK.detach() if detach else large_BK, small_BK
    )
    return loss + criterion(small_BK, targets) if small_ce else loss


def distillation_loss(
    student_BK: Tensor,
    teacher_BK: Tensor,
    targets: Tensor,
    *,
    weight: float = 0.5,
    temperature: float = 1.0,
    criterion: Criterion = functional.cross_entropy,
) -> Tensor:
    """(1 - weight) CE(student) + weight KL(teacher || student), the teacher held fixed (Hinton et al. 2015)."""
    return (1 - weight) * criterion(student_BK, targets) + weight * divergence(
        teacher_BK.detach(), student_BK, temperature
    )
