"""What is measured of a finished classifier beside accuracy and loss. Searches do not wait for it.

Like the task itself this loads torch, and scikit-learn, only where something is computed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from nas.quantities import Quantity
from nas.tasks._base import Tally
from nas.tasks._batch import Targets

if TYPE_CHECKING:
    from torch import Tensor

BEST = 5
BINS = 15
FEW_CLASSES = 20
"""A confusion matrix of more classes fits no page."""

TOP5 = Quantity(
    name="top5", title="top-5 accuracy", short="top-5", origin="measured", better="more", worst=0.0, ideal=1.0,
    shown="percent", over_inputs="share",
    about=f"Top-5 accuracy is the share of images whose class is among the {BEST} with the greatest logits",
)  # fmt: skip
CLASS_ACCURACY = Quantity(
    name="class_accuracy", title="mean per-class accuracy", short="per class", origin="measured", better="more",
    worst=0.0, ideal=1.0, shown="percent",
    about="Mean per-class accuracy is the mean of the accuracies on the images of each class, however many these are",
)  # fmt: skip
CALIBRATION_ERROR = Quantity(
    name="calibration_error", title="calibration error", short="calib. error", origin="measured", better="less",
    worst=1.0, ideal=0.0, shown="percent",
    about="Calibration error is by how much the probability of the class that is named differs from how often that "
    f"is right, a mean over images in {BINS} bins of the probability (ECE, arXiv:1706.04599)",
)  # fmt: skip


def finer(classes: int) -> tuple[Quantity, ...]:
    """Those that mean something where there are so many classes: among five, all are among the best five."""
    return (*([TOP5] if classes > BEST else []), CLASS_ACCURACY, CALIBRATION_ERROR)


class Seen(NamedTuple):
    """What the metrics need of some images, one value each: class, class that the model names, its probability, and
    whether the true one is among the best five.
    """

    labels: NDArray[np.int64]
    named: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    among_best: NDArray[np.bool_]


@final
@dataclass(frozen=True, eq=False)
class ClassTally:
    """The `plain` tally of the task, and what was seen of each image, batch by batch."""

    classes: int
    plain: Tally
    batches: tuple[Seen, ...] = ()

    @property
    def n(self) -> int:
        return self.plain.n

    def after(self, outputs: Tensor, targets: Targets) -> ClassTally:
        import torch

        assert isinstance(targets, torch.Tensor)
        best = outputs.float().softmax(1).max(1)
        among = outputs.topk(min(BEST, outputs.shape[1]), 1).indices.eq(targets[:, None]).any(1)
        seen = Seen(
            targets.cpu().numpy(),
            outputs.argmax(1).cpu().numpy(),
            best.values.double().cpu().numpy(),
            among.cpu().numpy(),
        )
        return replace(self, plain=self.plain.after(outputs, targets), batches=(*self.batches, seen))

    @property
    def metrics(self) -> dict[str, float]:
        from sklearn.metrics import recall_score

        seen = self._seen
        # A class without images has no accuracy, and does not count.
        present = np.unique(seen.labels)
        per_class = recall_score(seen.labels, seen.named, labels=present, average="macro")
        right = seen.labels == seen.named
        values = {
            TOP5.name: float(seen.among_best.mean()),
            CLASS_ACCURACY.name: float(per_class),
            CALIBRATION_ERROR.name: calibration_error(seen.probabilities, right),
        }
        return {**self.plain.metrics, **{metric.name: values[metric.name] for metric in finer(self.classes)}}

    @property
    def confusion(self) -> NDArray[np.int64] | None:
        """Images of each class (rows) that were taken for each class (columns); None for many classes."""
        if self.classes > FEW_CLASSES:
            return None
        from sklearn.metrics import confusion_matrix

        matrix: NDArray[np.int64] = confusion_matrix(
            self._seen.labels, self._seen.named, labels=np.arange(self.classes)
        )
        return matrix

    @property
    def _seen(self) -> Seen:
        return Seen(*(np.concatenate(column) for column in zip(*self.batches, strict=True)))


def calibration_error(probabilities: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error of N predictions: bins are open below and closed above, so that 1 is in the last."""
    bins = np.clip(np.ceil(probabilities * BINS).astype(np.int64) - 1, 0, BINS - 1)
    # Of a bin, the sum of differences is its share of all images times the difference of its means, times N.
    return float(np.abs(np.bincount(bins, right - probabilities)).sum() / len(right))
