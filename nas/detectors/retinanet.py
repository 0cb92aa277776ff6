"""RetinaNet (arXiv 1708.02002), by torchvision's parts: classes and boxes of every anchor, without proposals."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops import box_iou
from typing_extensions import override

from nas.detectors._base import applied_to
from nas.detectors._on_pyramid import OnPyramid, maps
from nas.detectors.options import DetectorSpec
from nas.detectors.outputs import Detections, DetectorOutputs, Truth
from nas.detectors.proposals import anchors_of, pictures
from nas.detectors.selecting import selected

OBJECT, BACKGROUND = 0.5, 0.4
"""An anchor that overlaps an object at least so much holds it; one that overlaps each of them less holds none."""


@final
class RetinaNet(OnPyramid):
    """One head on all levels of a pyramid."""

    def __init__(self, body: nn.Module, spec: DetectorSpec) -> None:
        super().__init__(body, spec)
        self.anchors = anchors_of(spec)
        self.head = RetinaNetHead(spec.channels, self.anchors.num_anchors_per_location()[0], spec.classes)
        self.matcher = Matcher(OBJECT, BACKGROUND, allow_low_quality_matches=True)
        self.coder = BoxCoder((1.0, 1.0, 1.0, 1.0))

    @override
    def outputs(self, images: Tensor, truth: Truth | None, *, detect: bool) -> DetectorOutputs:
        levels = self.pyramid(self.body, images)
        outputs = self.head(levels)
        anchors = self.anchors(pictures(images), levels)
        losses: dict[str, Tensor] = {}
        if truth is not None:
            objects = [truth.of(picture) for picture in range(len(truth))]
            matched = [self._matched(of["boxes"], at) for of, at in zip(objects, anchors, strict=True)]
            losses = self.head.compute_loss(objects, outputs, anchors, matched)
        fixed = maps(levels)
        size = (int(images.shape[-2]), int(images.shape[-1]))
        detections: list[Detections] = []
        if detect:
            counts = [level.shape[-2] * level.shape[-1] for level in levels]
            detections = [
                self._detected(scores, shifts, boxes, counts, size)
                for scores, shifts, boxes in zip(*outputs.values(), anchors, strict=True)
            ]
        return DetectorOutputs(fixed | {"scores": outputs["cls_logits"]}, losses, detections)

    @torch.no_grad()
    def _matched(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """The object that each anchor holds; negative for none."""
        if not len(boxes):
            return anchors.new_full((len(anchors),), Matcher.BELOW_LOW_THRESHOLD, dtype=torch.int64)
        matched: Tensor = self.matcher(box_iou(boxes, anchors))
        return matched

    def _detected(
        self, scores: Tensor, shifts: Tensor, anchors: Tensor, positions: list[int], size: tuple[int, int]
    ) -> Detections:
        """What is in one picture; of each level the `candidates` with the greatest scores are looked at."""
        per_position = len(anchors) // sum(positions)
        counts = [n * per_position for n in positions]
        kept: list[tuple[Tensor, Tensor, Tensor]] = []
        for logits, moved, boxes in zip(
            *(torch.split(part, counts) for part in (scores, shifts, anchors)), strict=True
        ):
            probabilities = logits.sigmoid().flatten()
            best = probabilities.topk(min(self.spec.candidates, len(probabilities)))
            anchor, label = best.indices // self.spec.classes, best.indices % self.spec.classes
            kept.append((self.coder.decode_single(moved[anchor], boxes[anchor]), best.values, label))
        every, values, labels = (torch.cat(column) for column in zip(*kept, strict=True))
        return selected(every, values, labels, size, self.spec)

    @override
    def applied(self) -> dict[str, int]:
        return self.applied_in_pyramid() | applied_to(self.head, "head", self.positions())

    @property
    @override
    def classifier(self) -> tuple[str, ...]:
        path = "head.classification_head.cls_logits."
        return tuple(name for name, _ in self.own_parameters() if name.startswith(path))
