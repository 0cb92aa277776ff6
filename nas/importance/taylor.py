"""Taylor: how much the loss changes, to first order, when a unit goes (Molchanov et al. 2019, arXiv 1906.10771)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from nas import seeds
from nas.evaluation.evaluate import evaluating
from nas.importance._base import Importance, Scored
from nas.importance._units import per_unit
from nas.numbers import BatchSize, ImageCount
from nas.supernets import Supernet
from nas.tasks import Batch, Task
from nas.training.workplace import Workplace


@final
@dataclass(frozen=True, kw_only=True)
class Taylor(Importance):
    """Mean over batches of (sum of gradient x weight over the unit's parameters)^2.

    images   training images looked at, drawn by the run's seed; less when there are fewer
    batch    images per gradient. The square is taken per batch, so this is part of the criterion
    """

    images: ImageCount = 1024
    batch: BatchSize = 64

    @override
    def score(self, supernet: Supernet, work: Workplace) -> Scored:
        device = next(supernet.parameters()).device
        seed = seeds.derive(work.seed, seeds.SAMPLING)
        scores: dict[str, Tensor] = {}
        seen = 0
        with evaluating(supernet), torch.enable_grad():
            for batch in work.data.train.batches(self.batch, seed=seed, device=device):
                # The square is taken per batch, before the mean: else changes of two batches could cancel.
                for axis, change in self._changes(supernet, batch, work.data.task).items():
                    scores[axis] = scores.get(axis, torch.zeros_like(change)) + change.square()
                seen += 1
                if seen * self.batch >= min(self.images, len(work.data.train)):
                    break
        return Scored({axis: total / seen for axis, total in scores.items()})

    def _changes(self, supernet: Supernet, batch: Batch, task: Task) -> dict[str, Tensor]:
        """First-order change of the batch's loss per unit. Its square shows no sign, and no scale of the batch."""
        own = dict(supernet.model.named_parameters())
        loss = task.criterion()(supernet.model(task.learning_inputs(batch)), batch.targets)
        gradients = torch.autograd.grad(loss, list(own.values()), allow_unused=True)
        products = {
            name: (weight * gradient).detach()
            for (name, weight), gradient in zip(own.items(), gradients, strict=True)
            if gradient is not None
        }
        return per_unit(supernet, products)
