"""Detection: which objects are in a picture, where, and, optionally, which of its pixels they are.

The model is a detector (`nas.detectors`) around the study's model. Where it learns it is called with the objects, since
it draws what its losses are of; targets are `Annotations`. Only what computes loads torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from nas.detectors import ARGUMENT
from nas.detectors.options import RCNN, DetectorOptions, Finder
from nas.errors import TaskError, TrainingError
from nas.quantities import Quantity
from nas.tasks._annotations import Annotations, in_the_middle
from nas.tasks._average_precision import NUMBERS, Kind, PrecisionTally, results, seen
from nas.tasks._base import Criterion, Facts, Mixer, Mixing, Tally, Task, TruthKind
from nas.tasks._batch import Batch, Targets
from nas.tasks._located import SeenPicture

if TYPE_CHECKING:
    from torch import Tensor

    from nas.detectors import DetectorOutputs, Supervised

SMALL: Mapping[str, Any] = {"channels": 8, "candidates": 20, "detections": 5}
BOXES: Mapping[str, Any] = {"proposals": 10, "samples": 8, "anchor_samples": 16, "box_width": 16, "canonical": 8}
"""Options of small detectors, to try the task with."""
SEARCHED = 2
"""How many of COCO's twelve numbers searches look at: the mean over overlaps, and that at 0.50."""
USUAL = 80
"""Classes of COCO: as many are assumed where the data are not here."""
Sought = Literal["boxes", "loss", "both"]
LOSS = Quantity(name="loss", title="loss", origin="measured", better="less", ideal=0.0, over_inputs="mean")
"""Sum of the detector's losses; what they draw at random is the same for all models."""


@final
@dataclass(frozen=True, kw_only=True)
class Detection(Task, DetectorOptions):
    """Objects in pictures. The other options are those of the detector, see `nas.detectors.options.DetectorOptions`.

    measured   what searches measure: the average precision of boxes (boxes), the loss alone, which looks for nothing
               and so costs less (loss), or both
    """

    outputs: ClassVar[str] = "maps or tokens"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"head": "yolos", "queries": 4, "measured": "loss"},
        {**SMALL, "head": "retinanet", "octaves": 1, "anchors": [8, 12, 16], "measured": "both"},
        {**SMALL, "head": "faster_rcnn", "anchors": [4, 8, 12, 16], **BOXES},
        {**SMALL, "head": "cascade_mask_rcnn", "anchors": [4, 8, 12, 16], **BOXES},
    )

    head: Finder = "faster_rcnn"
    measured: Sought = "boxes"

    @property
    def options(self) -> dict[str, Any]:
        """Those of the detector, as plain data."""
        options = {option.name: getattr(self, option.name) for option in fields(DetectorOptions)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}

    @property
    @override
    def learns_from(self) -> tuple[TruthKind, ...]:
        return ("masks",) if self.masked else ("boxes", "masks")

    @override
    def model_args(self, facts: Facts) -> dict[str, Any]:
        return {"in_chans": facts.channels, ARGUMENT: {**self.options, "classes": facts.classes}}

    @override
    def usual_args(self) -> dict[str, Any]:
        """As for COCO."""
        return {ARGUMENT: {**self.options, "classes": USUAL}}

    @override
    def targets(self, labels: NDArray[np.int64], classes: int) -> Tensor:
        raise TaskError("detection: found pictures with a class each; allowed: annotated pictures")

    @override
    def example_targets(self, facts: Facts, n: int) -> Targets:
        return in_the_middle(facts, n)

    @property
    @override
    def draws(self) -> bool:
        return self.head in RCNN

    @override
    def learning_inputs(self, batch: Batch) -> Supervised:
        return self._supervised(batch, detect=False)

    @override
    def weight(self, batch: Batch) -> float | None:
        """Of YOLOS: the objects that have a token. R-CNNs divide by what they draw, RetinaNet by pictures."""
        if self.head != "yolos":
            return None
        objects = objects_of(batch.targets)
        learned = (objects.labels != Annotations.NONE) & ~objects.crowd
        return float(learned.sum(1).clamp_max(self.queries).sum())

    @override
    def measured_inputs(self, batch: Batch, tally: Tally) -> Tensor | Supervised:
        assert isinstance(tally, DetectionTally)
        return batch.inputs if tally.of == "boxes" else self._supervised(batch, detect=tally.of == "both")

    def _supervised(self, batch: Batch, *, detect: bool) -> Supervised:
        """Pictures and their objects, as the detector takes them. Raises `TaskError` where masks are missing."""
        from nas.detectors import Supervised, Truth

        objects = objects_of(batch.targets)
        if self.masked and objects.masks is None:
            raise TaskError(f"head: found {self.head}, and the data have no masks; allowed: a head without masks")
        masks = [objects.letterboxed_masks(picture) for picture in range(len(objects))] if self.masked else None
        return Supervised(
            batch.inputs, Truth(objects.boxes, objects.labels, objects.crowd, masks, batch.share), detect=detect
        )

    @override
    def criterion(self, smoothing: float = 0.0) -> Criterion:
        """The sum of the losses that the detector has computed."""
        if smoothing:
            raise TrainingError(f"smoothing: found {smoothing:g}; allowed for detection: 0")
        return _summed

    @override
    def divergence(self, reference: DetectorOutputs, outputs: DetectorOutputs, temperature: float = 1.0) -> Tensor:
        """Of detection tokens, by their index: KL divergence of classes, and distance of boxes. Of maps: the squared
        difference, as a share of what the reference's are, a mean over levels.
        """
        import torch

        if "boxes" in reference.fixed:
            return token_divergence(reference.fixed, outputs.fixed, temperature)
        maps = [name for name in reference.fixed if name.startswith("map ")]
        return torch.stack([map_divergence(reference.fixed[name], outputs.fixed[name]) for name in maps]).mean()

    @override
    def mixer(self, mixing: Mixing, classes: int) -> Mixer | None:
        if mixing.mixup or mixing.cutmix:
            raise TrainingError("mixup, cutmix: pictures with boxes are not mixed; allowed: 0")
        return None

    @property
    @override
    def metrics(self) -> tuple[Quantity, ...]:
        return measured_of(self.measured, NUMBERS["boxes"][:SEARCHED])

    @override
    def detailed_metrics(self, classes: int) -> tuple[Quantity, ...]:
        return measured_of(self._in_detail, [quantity for kind in self._kinds for quantity in NUMBERS[kind]])

    @override
    def tally(self) -> Tally:
        return DetectionTally(self.measured, self.metrics)

    @override
    def detailed_tally(self, classes: int) -> Tally:
        return DetectionTally(
            self._in_detail, self.detailed_metrics(classes), precision=PrecisionTally(kinds=self._kinds)
        )

    @property
    def _in_detail(self) -> Sought:
        return "boxes" if self.measured == "boxes" else "both"

    @property
    def _kinds(self) -> tuple[Kind, ...]:
        return ("boxes", "masks") if self.masked else ("boxes",)

    @override
    def difference(self, first: DetectorOutputs, second: DetectorOutputs) -> float:
        """Of maps and proposals, or of all tokens' classes and boxes."""
        return max(float((first.fixed[name] - second.fixed[name]).abs().max()) for name in first.fixed)

    @override
    def same_objects(self, first: DetectorOutputs, second: DetectorOutputs) -> bool:
        import torch

        pairs = zip(first.detections, second.detections, strict=True)
        parts = ((getattr(a, name), getattr(b, name)) for a, b in pairs for name in ("boxes", "scores", "labels"))
        return all(torch.equal(*both) for both in parts)

    @override
    def detached(self, outputs: DetectorOutputs) -> DetectorOutputs:
        from nas.detectors import DetectorOutputs

        fixed, losses = ({name: t.detach() for name, t in of.items()} for of in (outputs.fixed, outputs.losses))
        return DetectorOutputs(fixed, losses, outputs.detections)

    @override
    def predictions(self, outputs: DetectorOutputs, targets: Targets, classes: Sequence[str]) -> list[dict[str, Any]]:
        """Of each picture the objects that were found: boxes in its own pixels, names of their classes, scores."""
        objects = objects_of(targets)
        return [
            {
                "picture": int(objects.ids[number]),
                "boxes": objects.restored(number, found.boxes).tolist(),
                "classes": [classes[label] for label in found.labels.tolist()],
                "scores": found.scores.tolist(),
            }
            for number, found in enumerate(outputs.detections)
        ]

    @override
    def about(self, classes: Sequence[str]) -> Mapping[str, Any]:
        return {"classes": list(classes), "outputs": "boxes (x1, y1, x2, y2), scores and labels per picture"}


@final
@dataclass(frozen=True, eq=False)
class DetectionTally:
    """What was seen of a split so far; `of` says what is measured, and `quantities` which numbers of it are told."""

    of: Sought
    quantities: tuple[Quantity, ...]
    loss: float = 0.0
    n: int = 0
    precision: PrecisionTally = field(default_factory=PrecisionTally)

    @property
    def metrics(self) -> dict[str, float]:
        """See `nas.tasks.Tally`."""
        values = {LOSS.name: self.loss / self.n, **(self.precision.metrics if self.of != "loss" else {})}
        return {quantity.name: values[quantity.name] for quantity in self.quantities}

    def precision_curves(self) -> dict[int, list[float]]:
        """See `nas.tasks.Locating`."""
        return {label: of.curve.tolist() for label, of in self.precision.by_class().items()}

    def class_precisions(self) -> dict[int, float]:
        """See `nas.tasks.Locating`."""
        return {label: of.average for label, of in self.precision.by_class().items()}

    def seen(self, pictures: int) -> list[SeenPicture]:
        """See `nas.tasks.Locating`."""
        return [seen(picture) for picture in self.precision.pictures[:pictures]]

    def results(self, category_ids: Sequence[int]) -> list[dict[str, Any]]:
        """See `nas.tasks.Locating`."""
        return results(self.precision.pictures, category_ids)

    def after(self, outputs: DetectorOutputs, targets: Targets) -> DetectionTally:
        """See `nas.tasks.Tally`."""
        objects, loss, precision = objects_of(targets), self.loss, self.precision
        if self.of != "boxes":
            loss += len(objects) * float(_summed(outputs, targets))
        if self.of != "loss":
            precision = precision.after(objects, outputs.detections)
        return replace(self, loss=loss, n=self.n + len(objects), precision=precision)


def measured_of(sought: Sought, precisions: Sequence[Quantity]) -> tuple[Quantity, ...]:
    """What is told where these are sought."""
    return (*(precisions if sought != "loss" else ()), *((LOSS,) if sought != "boxes" else ()))


def objects_of(targets: Targets) -> Annotations:
    """The targets of this task."""
    assert isinstance(targets, Annotations), f"{type(targets).__name__} are no annotations"
    return targets


def token_divergence(reference: Mapping[str, Tensor], tokens: Mapping[str, Tensor], temperature: float) -> Tensor:
    """Of the logits (B x Q x K + 1) and boxes (B x Q x 4) of detection tokens."""
    from torch.nn import functional

    log_p, log_q = (functional.log_softmax(of["logits"].float() / temperature, -1) for of in (reference, tokens))
    of_classes = functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1).mean() * temperature**2
    return of_classes + (reference["boxes"] - tokens["boxes"]).abs().sum(-1).mean()


def map_divergence(reference: Tensor, features: Tensor) -> Tensor:
    """Of two maps (B x C x H x W)."""
    size = reference.detach().square().mean().clamp_min(1e-12)
    return (reference - features).square().mean() / size


def _summed(outputs: DetectorOutputs, targets: Targets) -> Tensor:  # noqa: ARG001  (the interface)
    import torch

    assert outputs.losses, "the detector was not told what is in the pictures"
    return torch.stack(list(outputs.losses.values())).sum()
