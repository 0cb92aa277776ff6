"""R-CNNs on a pyramid: Faster R-CNN, Mask R-CNN (arXiv 1703.06870), and their cascades (arXiv 1712.00726), in which
each stage looks at the boxes of the one before and asks for more overlap. One stage is a Faster R-CNN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from nas.detectors._base import applied_to
from nas.detectors._on_pyramid import OnPyramid, maps
from nas.detectors.box_stage import BoxStage
from nas.detectors.options import DetectorSpec
from nas.detectors.outputs import Detections, DetectorOutputs, Truth
from nas.detectors.proposals import Proposals
from nas.detectors.selecting import selected


@final
class RCNN(OnPyramid):
    """Proposals from all levels; boxes, and masks, from features of the levels that stages give."""

    def __init__(self, body: nn.Module, spec: DetectorSpec) -> None:
        super().__init__(body, spec)
        self.rpn = Proposals(spec)
        # Levels that are made from the last stage's are for proposals only.
        self.read = len(self.pyramid.stage_sizes(body))
        self.stages = nn.ModuleList(BoxStage(spec, stage, self.read) for stage in range(len(spec.stage_overlaps)))

    @override
    def outputs(self, images: Tensor, truth: Truth | None, *, detect: bool) -> DetectorOutputs:
        levels = self.pyramid(self.body, images)
        proposals, losses = self.rpn(images, levels, truth)
        size = (int(images.shape[-2]), int(images.shape[-1]))
        read = {str(level): features for level, features in enumerate(levels[: self.read])}
        if truth is not None:
            losses = {**losses, **self._losses(read, proposals, truth, size)}
        detections = self._detected(read, proposals, size) if detect else []
        fixed = maps(levels)
        if not self.training:
            fixed["proposals"] = _padded(proposals, self.spec.proposals)
        return DetectorOutputs(fixed, losses, detections)

    def _losses(
        self, levels: Mapping[str, Tensor], proposals: list[Tensor], truth: Truth, size: tuple[int, int]
    ) -> dict[str, Tensor]:
        """Of every stage; a later one weighs half of the one before."""
        losses: dict[str, Tensor] = {}
        for number, module in enumerate(self.stages):
            stage, weight = _stage(module), 0.5**number
            drawn = stage.drawn(proposals, truth)
            scores, shifts = stage(levels, drawn.boxes, size)
            of_classes, of_boxes = stage.losses(scores, shifts, drawn)
            losses |= {f"class {number}": weight * of_classes, f"box {number}": weight * of_boxes}
            if self.spec.masked and truth.masks is not None:
                losses[f"mask {number}"] = weight * stage.mask_loss(levels, drawn, truth, size)
            if number + 1 < len(self.stages):
                proposals = stage.refined(drawn.boxes, scores, shifts, size)
        return losses

    def _detected(
        self, levels: Mapping[str, Tensor], proposals: list[Tensor], size: tuple[int, int]
    ) -> list[Detections]:
        """What is in each picture: classes by the mean of all stages, boxes by the last one."""
        boxes, probabilities = proposals, []
        for number, module in enumerate(self.stages):
            stage = _stage(module)
            scores, shifts = stage(levels, boxes, size)
            probabilities.append(functional.softmax(scores, -1))
            if number + 1 < len(self.stages):
                boxes = stage.refined(boxes, scores, shifts, size)
        final_boxes, mean = stage.boxes(boxes, shifts), torch.stack(probabilities).mean(0)[:, 1:]
        labels = torch.arange(self.spec.classes, device=mean.device).expand_as(mean)
        counts = [len(of_picture) for of_picture in proposals]
        parts = zip(*(torch.split(part, counts) for part in (final_boxes, mean, labels)), strict=True)
        found = [selected(b.flatten(0, 1), s.flatten(), la.flatten(), size, self.spec) for b, s, la in parts]
        return self._masked(levels, found, size) if self.spec.masked else found

    def _masked(self, levels: Mapping[str, Tensor], found: list[Detections], size: tuple[int, int]) -> list[Detections]:
        """The detections with their masks, the mean of those of all stages."""
        boxes, labels = [of.boxes for of in found], torch.cat([of.labels for of in found])
        stages = list(map(_stage, self.stages))
        masks = [stage.mask_of(stage.mask_logits(levels, boxes, size), labels) for stage in stages]
        of_pictures = torch.split(torch.stack(masks).mean(0), [len(of) for of in found])
        return [Detections(of.boxes, of.scores, of.labels, m) for of, m in zip(found, of_pictures, strict=True)]

    @override
    def applied(self) -> dict[str, int]:
        applied = self.applied_in_pyramid() | applied_to(self.rpn.head, "rpn.head", self.positions())
        for number, stage in enumerate(self.stages):
            applied |= _stage(stage).applied(f"stages.{number}")
        return applied

    @property
    @override
    def classifier(self) -> tuple[str, ...]:
        parts = ("box_predictor.cls_score", "box_predictor.bbox_pred", "mask_predictor.mask_fcn_logits")
        names = (f"stages.{number}.{part}." for number in range(len(self.stages)) for part in parts)
        ends = tuple(names)
        return tuple(name for name, _ in self.own_parameters() if name.startswith(ends))


def _stage(module: nn.Module) -> BoxStage:
    assert isinstance(module, BoxStage)
    return module


def _padded(proposals: list[Tensor], count: int) -> Tensor:
    """Proposals of all pictures as one tensor (B x count x 4), those that are lacking as zeros."""
    padded = proposals[0].new_zeros(len(proposals), count, 4)
    for row, boxes in zip(padded, proposals, strict=True):
        row[: len(boxes)] = boxes
    return padded
