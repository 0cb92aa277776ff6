"""Semantic segmentation: which class each pixel of a picture is of. The model is `nas.detectors.fcn` around the study's
model; targets are `Annotations` whose masks say it. Pixels in no mask are not learnt, nor measured.

Only what computes loads torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from nas.detectors import ARGUMENT
from nas.detectors.options import Width
from nas.errors import TaskError, TrainingError
from nas.numbers import whole
from nas.quantities import Quantity
from nas.tasks._annotations import Annotations, in_the_middle
from nas.tasks._base import Criterion, Facts, Mixer, Mixing, Tally, Task, TruthKind
from nas.tasks._batch import Targets

if TYPE_CHECKING:
    from torch import Tensor

    from nas.detectors import DetectorOutputs

UNLABELLED = -100
"""The class of a pixel in no mask, which torch's cross-entropy passes over."""
USUAL = 150
"""Classes of ADE20K: as many are assumed where the data are not here."""
MEAN_IOU = Quantity(
    name="mean_iou", title="mean IoU", origin="measured", better="more", worst=0.0, ideal=1.0, shown="percent",
    about="Pixels of a class that are found, over those that are the class's or taken for it; the mean over classes",
)  # fmt: skip
PIXEL_ACCURACY = Quantity(
    name="pixel_accuracy", title="pixel accuracy", origin="measured", better="more", worst=0.0, ideal=1.0,
    shown="percent",
)  # fmt: skip
"""The share of labelled pixels whose greatest logit is that of their class."""
LOSS = Quantity(name="loss", title="loss", origin="measured", better="less", ideal=0.0, over_inputs="mean")
"""Cross-entropy in nats: of a picture the mean over its labelled pixels, and of these the mean over pictures."""


@final
@dataclass(frozen=True, kw_only=True)
class Segmentation(Task):
    """A class for every pixel.

    head      what stands on the model: fcn, convolutions on the sum of all levels of a pyramid
    channels  of the pyramid's maps and of the head
    stages    which of the model's maps the pyramid is made of, the finest is 0; the last one must be among them
              (default: all)
    """

    outputs: ClassVar[str] = "logits"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({"channels": 8},)

    head: Literal["fcn"] = "fcn"
    channels: Width = 128
    stages: tuple[Annotated[int, whole(0, 15)], ...] | None = None

    @property
    @override
    def learns_from(self) -> tuple[TruthKind, ...]:
        return ("masks",)

    @property
    @override
    def metrics(self) -> tuple[Quantity, ...]:
        return MEAN_IOU, PIXEL_ACCURACY, LOSS

    @override
    def model_args(self, facts: Facts) -> dict[str, Any]:
        return {"in_chans": facts.channels, ARGUMENT: self._around(facts.classes)}

    @override
    def usual_args(self) -> dict[str, Any]:
        """As for ADE20K."""
        return {ARGUMENT: self._around(USUAL)}

    def _around(self, classes: int) -> dict[str, Any]:
        stages = {} if self.stages is None else {"stages": list(self.stages)}
        return {"head": self.head, "channels": self.channels, **stages, "classes": classes}

    @override
    def targets(self, labels: NDArray[np.int64], classes: int) -> Tensor:
        raise TaskError("segmentation: found pictures with a class each; allowed: pictures with masks")

    @override
    def example_targets(self, facts: Facts, n: int) -> Targets:
        return in_the_middle(facts, n)

    @override
    def criterion(self, smoothing: float = 0.0) -> Criterion:
        """The loss, with `smoothing` of each pixel's target spread over all classes."""

        def loss(outputs: DetectorOutputs, targets: Targets) -> Tensor:
            logits = outputs.fixed["logits"]
            return _of_pictures(logits, labels_of(targets, logits), smoothing).mean()

        return loss

    @override
    def divergence(self, reference: DetectorOutputs, outputs: DetectorOutputs, temperature: float = 1.0) -> Tensor:
        """KL(reference || outputs) of each pixel's distribution over classes, a mean, times temperature^2."""
        from torch.nn import functional

        both = (of.fixed["logits"].float() / temperature for of in (reference, outputs))
        log_p, log_q = (functional.log_softmax(logits, dim=1) for logits in both)
        pixels = functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(1)
        return pixels.mean() * temperature**2

    @override
    def mixer(self, mixing: Mixing, classes: int) -> Mixer | None:
        if mixing.mixup or mixing.cutmix:
            raise TrainingError("mixup, cutmix: pictures with masks are not mixed; allowed: 0")
        return None

    @override
    def tally(self) -> Tally:
        return SegmentationTally()

    @override
    def difference(self, first: DetectorOutputs, second: DetectorOutputs) -> float:
        return float((first.fixed["logits"] - second.fixed["logits"]).abs().max())

    @override
    def detached(self, outputs: DetectorOutputs) -> DetectorOutputs:
        return replace(outputs, fixed={name: tensor.detach() for name, tensor in outputs.fixed.items()})

    @override
    def predictions(self, outputs: DetectorOutputs, targets: Targets, classes: Sequence[str]) -> list[dict[str, Any]]:
        """Of each picture, how much of it is taken for each class, and how many of its labelled pixels are right."""
        logits = outputs.fixed["logits"]
        labels, found = labels_of(targets, logits), logits.argmax(1)
        assert isinstance(targets, Annotations)
        rows = []
        for picture, (truth, taken) in enumerate(zip(labels, found, strict=True)):
            shares = taken.flatten().bincount(minlength=len(classes)) / taken.numel()
            known = truth != UNLABELLED
            right = float((truth == taken)[known].float().mean()) if known.any() else None
            named = {name: round(share, 6) for name, share in zip(classes, shares.tolist(), strict=True)}
            rows.append({"picture": int(targets.ids[picture]), "share_of_classes": named, "pixel_accuracy": right})
        return rows

    @override
    def about(self, classes: Sequence[str]) -> Mapping[str, Any]:
        return {"classes": list(classes), "outputs": "logits of each pixel"}


@final
@dataclass(frozen=True, eq=False)
class SegmentationTally:
    """Of the pictures seen so far: pixels of each class (rows) by the class that they are taken for, and the sum of the
    losses.
    """

    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    loss: float = 0.0
    n: int = 0

    @property
    def metrics(self) -> dict[str, float]:
        """See `nas.tasks.Tally`. Classes that no pixel is of, or is taken for, have no part in the mean."""
        right, every = np.diag(self.pixels), self.pixels.sum()
        union = self.pixels.sum(0) + self.pixels.sum(1) - right
        overlaps = right[union > 0] / union[union > 0]
        return {
            MEAN_IOU.name: float(overlaps.mean()) if len(overlaps) else 0.0,
            PIXEL_ACCURACY.name: float(right.sum() / every) if every else 0.0,
            LOSS.name: self.loss / self.n,
        }

    def after(self, outputs: DetectorOutputs, targets: Targets) -> SegmentationTally:
        """See `nas.tasks.Tally`."""
        logits = outputs.fixed["logits"].float()
        labels, classes = labels_of(targets, logits), logits.shape[1]
        known = labels != UNLABELLED
        pairs = classes * labels[known] + logits.argmax(1)[known]
        counts = pairs.bincount(minlength=classes**2).reshape(classes, classes).cpu().numpy()
        loss = float(_of_pictures(logits, labels).sum())
        return SegmentationTally(counts + self.pixels if self.n else counts, self.loss + loss, self.n + len(labels))


def labels_of(targets: Targets, like: Tensor) -> Tensor:
    """The class of every pixel of B pictures, int64, B x H x W, on the device of `like`. Where masks overlap, the
    smaller object lies on top. Raises `TaskError` where there are no masks.
    """
    import torch

    assert isinstance(targets, Annotations), f"{type(targets).__name__} are no annotations"
    if targets.masks is None:
        raise TaskError("segmentation: the data have no masks; allowed: pictures with masks")
    labels = torch.full((len(targets), *targets.size), UNLABELLED)
    of_objects = targets.labels.tolist()
    for picture, of in enumerate(labels):
        masks = targets.letterboxed_masks(picture)
        for place in masks.sum((1, 2)).argsort(descending=True, stable=True).tolist():
            of[masks[place]] = of_objects[picture][place]
    return labels.to(like.device)


def _of_pictures(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """The loss of each picture, float, B; 0 where no pixel is labelled."""
    from torch.nn import functional

    pixels = functional.cross_entropy(
        logits.float(), labels, ignore_index=UNLABELLED, label_smoothing=smoothing, reduction="none"
    )
    labelled = (labels != UNLABELLED).sum((1, 2)).clamp_min(1)
    return pixels.sum((1, 2)) / labelled
