"""Classification: one class per image, of K. The model's outputs are logits (B x K).

Targets are class numbers (int64, B) or, after mixing, probabilities of classes (float, B x K).

Only what computes loads torch: reports ask for the metrics alone, and `nas pareto` shall answer at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from nas.quantities import Quantity
from nas.tasks._base import Criterion, Facts, Mixer, Mixing, Tally, Task
from nas.tasks._batch import Targets
from nas.tasks._class_metrics import ClassTally, finer

if TYPE_CHECKING:
    from torch import Tensor

ACCURACY = Quantity(
    name="accuracy", title="accuracy", short="acc.", origin="measured", better="more", worst=0.0, ideal=1.0,
    shown="percent", over_inputs="share",
)  # fmt: skip
"""Top-1: the share of images whose greatest logit is that of their class."""
LOSS = Quantity(name="loss", title="loss", origin="measured", better="less", ideal=0.0, over_inputs="mean")
"""Mean cross-entropy in nats."""


@final
@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """One class per image."""

    outputs: ClassVar[str] = "logits"
    row_by_row: ClassVar[bool] = True

    @property
    @override
    def metrics(self) -> tuple[Quantity, ...]:
        return ACCURACY, LOSS

    @override
    def detailed_metrics(self, classes: int) -> tuple[Quantity, ...]:
        return (*self.metrics, *finer(classes))

    @override
    def model_args(self, facts: Facts) -> dict[str, Any]:
        return {"in_chans": facts.channels, "num_classes": facts.classes}

    @override
    def targets(self, labels: NDArray[np.int64], classes: int) -> Tensor:
        import torch

        return torch.from_numpy(labels)

    @override
    def criterion(self, smoothing: float = 0.0) -> Criterion:
        """Cross-entropy that spreads `smoothing` of each target over all classes."""
        from torch.nn import functional

        return partial(functional.cross_entropy, label_smoothing=smoothing)

    @override
    def divergence(self, reference: Tensor, outputs: Tensor, temperature: float = 1.0) -> Tensor:
        """KL(reference || outputs) of the distributions over classes, times temperature^2, which keeps the gradients'
        scale (Hinton et al. 2015).
        """
        from torch.nn import functional

        log_p, log_q = (functional.log_softmax(logits.float() / temperature, dim=1) for logits in (reference, outputs))
        return functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True) * temperature**2

    @override
    def mixer(self, mixing: Mixing, classes: int) -> Mixer | None:
        if not mixing.mixup and not mixing.cutmix:
            return None
        from nas.tasks._mixing import ClassMixer

        return ClassMixer(mixing, classes)

    @override
    def tally(self) -> Tally:
        return _Sums()

    @override
    def detailed_tally(self, classes: int) -> Tally:
        return ClassTally(classes, self.tally())

    @override
    def difference(self, first: Tensor, second: Tensor) -> float:
        return float((first - second).abs().max())

    @override
    def detached(self, outputs: Tensor) -> Tensor:
        return outputs.detach()

    @override
    def decided(self, outputs: Tensor) -> Targets:
        """The class of the greatest logit."""
        return outputs.argmax(1)

    @override
    def predictions(self, outputs: Tensor, targets: Targets, classes: Sequence[str]) -> list[dict[str, Any]]:
        """The class of each image, the one that the model names, how probable it holds it, and whether it is right."""
        import torch

        assert isinstance(targets, torch.Tensor)
        best = outputs.float().softmax(1).max(1)
        every = zip(targets.tolist(), best.indices.tolist(), best.values.tolist(), strict=True)
        return [
            {
                "label": classes[label],
                "prediction": classes[named],
                "probability": share,
                "correct": label == named,
            }
            for label, named, share in every
        ]

    @override
    def about(self, classes: Sequence[str]) -> Mapping[str, Any]:
        return {"classes": list(classes)}


@final
@dataclass(frozen=True)
class _Sums:
    """Of the images seen so far: how many are right, and the sum of their losses."""

    right: int = 0
    loss: float = 0.0
    n: int = 0

    @property
    def metrics(self) -> dict[str, float]:
        return {ACCURACY.name: self.right / self.n, LOSS.name: self.loss / self.n}

    def after(self, outputs: Tensor, targets: Targets) -> _Sums:
        import torch
        from torch.nn import functional

        assert isinstance(targets, torch.Tensor)
        logits = outputs.float()
        right = int((logits.argmax(1) == targets).sum())
        loss = float(functional.cross_entropy(logits, targets, reduction="sum"))
        return _Sums(self.right + right, self.loss + loss, self.n + len(targets))
