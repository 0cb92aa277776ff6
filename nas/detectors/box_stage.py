"""One box head of an R-CNN, and its mask head: what is in each proposal, where exactly, and which part of it is it.

Legend: N proposals of all pictures together, K classes. Column 0 of the scores is the background; labels of torchvision
are counted from 1 here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, maskrcnn_loss
from torchvision.ops import MultiScaleRoIAlign, clip_boxes_to_image, generalized_box_iou_loss

from nas.detectors._base import applied_to
from nas.detectors.options import DetectorSpec
from nas.detectors.outputs import Truth

BOX_GRID, MASK_GRID = 7, 14
"""Rows and columns of a proposal's features."""
MASK_CONVS = 4
GIOU_WEIGHT = 10.0
BETA = 1 / 9
"""Where the smooth L1 loss begins to be linear."""


class Drawn(NamedTuple):
    """Proposals that are trained on, with what they should have become: per picture, boxes (n x 4), the object that
    each holds (n), labels (n, 0 is background); and the shifts to these objects (N x 4).
    """

    boxes: list[Tensor]
    objects: list[Tensor]
    labels: list[Tensor]
    shifts: Tensor


@final
class BoxStage(RoIHeads):  # type: ignore[misc]  # torchvision has no types
    """torchvision's heads on proposals, of one stage of a cascade, or the only one."""

    def __init__(self, spec: DetectorSpec, stage: int, levels: int) -> None:
        self.spec, classes = spec, spec.classes
        names = [str(level) for level in range(levels)]
        overlap = spec.stage_overlaps[stage]
        super().__init__(
            MultiScaleRoIAlign(names, BOX_GRID, 2, canonical_scale=spec.canonical),
            _box_head(spec),
            FastRCNNPredictor(spec.box_width, classes + 1),
            overlap,
            overlap,
            spec.samples,
            spec.positives,
            # Later stages shift boxes less: one unit is a smaller part of a box (arXiv 1712.00726).
            tuple(float(weight * (stage + 1)) for weight in (10, 10, 5, 5)),
            spec.score_threshold,
            spec.nms_threshold,
            spec.detections,
            *((MultiScaleRoIAlign(names, MASK_GRID, 2, canonical_scale=spec.canonical),) if spec.masked else ()),
            *(_mask_head(spec) if spec.masked else ()),
        )
        # torchvision's layout has a box and a mask for the background; a cascade's published one has not.
        self.boxes_of = 1 if spec.class_agnostic else classes if spec.cascaded else classes + 1
        self.box_predictor.bbox_pred = nn.Linear(spec.box_width, 4 * self.boxes_of)
        self.mask_offset = 0 if spec.cascaded else 1

    def forward(self, levels: Mapping[str, Tensor], proposals: list[Tensor], size: tuple[int, int]) -> list[Tensor]:
        """Logits (N x K + 1) and shifts (N x boxes x 4) of all proposals."""
        features = self.box_head(self.box_roi_pool(levels, proposals, [size] * len(proposals)))
        scores, shifts = self.box_predictor(features)
        return [scores, shifts.view(len(shifts), self.boxes_of, 4)]

    @torch.no_grad()
    def drawn(self, proposals: list[Tensor], truth: Truth) -> Drawn:
        """The proposals that a loss is of: drawn at random, objects themselves among them."""
        objects = [truth.of(picture) for picture in range(len(truth))]
        for of_picture in objects:
            of_picture["labels"] = of_picture["labels"] + 1
        boxes, matched, labels, shifts = self.select_training_samples(list(proposals), objects)
        return Drawn(boxes, matched, labels, torch.cat(list(shifts)))

    def losses(self, scores: Tensor, shifts: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        """Of the classes, and of the boxes of those that hold an object."""
        labels = torch.cat(drawn.labels)
        of_classes = functional.cross_entropy(scores, labels)
        holding = torch.where(labels > 0)[0]
        own = self._own(shifts, labels)[holding]
        if self.spec.of_boxes == "giou":
            proposals = torch.cat(drawn.boxes)[holding]
            found = self.box_coder.decode_single(own, proposals)
            wanted = self.box_coder.decode_single(drawn.shifts[holding], proposals)
            total = GIOU_WEIGHT * generalized_box_iou_loss(found, wanted, reduction="sum")
        else:
            total = functional.smooth_l1_loss(own, drawn.shifts[holding], beta=BETA, reduction="sum")
        return of_classes, total / max(1, len(labels))

    def mask_loss(self, levels: Mapping[str, Tensor], drawn: Drawn, truth: Truth, size: tuple[int, int]) -> Tensor:
        """Of the proposals that hold an object, whose masks are known."""
        holding = [labels > 0 for labels in drawn.labels]
        boxes = [of[which] for of, which in zip(drawn.boxes, holding, strict=True)]
        objects = [of[which] for of, which in zip(drawn.objects, holding, strict=True)]
        known = [truth.of(picture) for picture in range(len(truth))]
        logits = self.mask_logits(levels, boxes, size)
        masks, labels = [of["masks"] for of in known], [of["labels"] + self.mask_offset for of in known]
        loss: Tensor = maskrcnn_loss(logits, boxes, masks, labels, objects)
        return loss

    def mask_logits(self, levels: Mapping[str, Tensor], boxes: list[Tensor], size: tuple[int, int]) -> Tensor:
        """One mask of each class, N x classes x S x S."""
        features = self.mask_roi_pool(levels, boxes, [size] * len(boxes))
        logits: Tensor = self.mask_predictor(self.mask_head(features))
        return logits

    def mask_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The masks (N x S x S) of these classes (N, from 0), as probabilities."""
        rows = torch.arange(len(labels), device=labels.device)
        return logits[rows, labels + self.mask_offset].sigmoid()

    @torch.no_grad()
    def refined(
        self, proposals: Sequence[Tensor], scores: Tensor, shifts: Tensor, size: tuple[int, int]
    ) -> list[Tensor]:
        """Where the most probable classes lie: what the next stage looks at."""
        own = self._own(shifts, scores[:, 1:].argmax(1) + 1)
        boxes = self.box_coder.decode_single(own, torch.cat(list(proposals)))
        return [clip_boxes_to_image(part, size) for part in boxes.split([len(of) for of in proposals])]

    def boxes(self, proposals: Sequence[Tensor], shifts: Tensor) -> Tensor:
        """The box of each class (N x K x 4)."""
        boxes: Tensor = self.box_coder.decode(shifts.flatten(1), list(proposals)).view(-1, self.boxes_of, 4)
        if self.boxes_of == 1:
            return boxes.expand(-1, self.spec.classes, 4)
        return boxes[:, self.boxes_of - self.spec.classes :]

    def _own(self, shifts: Tensor, labels: Tensor) -> Tensor:
        """The shifts (N x 4) of these classes (N, from 1; what is background has any)."""
        offset = 0 if self.boxes_of > self.spec.classes else 1
        column = torch.zeros_like(labels) if self.boxes_of == 1 else (labels - offset).clamp_min(0)
        return shifts[torch.arange(len(shifts), device=shifts.device), column]

    def applied(self, path: str) -> dict[str, int]:
        """See `Detector.applied`."""
        spec = self.spec
        applied = applied_to(self.box_head, f"{path}.box_head", spec.proposals)
        for name, layer in self.box_head.named_modules():
            if isinstance(layer, nn.Conv2d):
                applied[f"{path}.box_head.{name}.weight"] = spec.proposals * BOX_GRID**2
        applied |= applied_to(self.box_predictor, f"{path}.box_predictor", spec.proposals)
        if spec.masked:
            features = spec.detections * MASK_GRID**2
            applied |= applied_to(self.mask_head, f"{path}.mask_head", features)
            # The transposed convolution makes four positions of each.
            applied[f"{path}.mask_predictor.conv5_mask.weight"] = features
            applied[f"{path}.mask_predictor.mask_fcn_logits.weight"] = 4 * features
        return applied


def _box_head(spec: DetectorSpec) -> nn.Module:
    if not spec.convolutions:
        head: nn.Module = TwoMLPHead(spec.channels * BOX_GRID**2, spec.box_width)
        return head
    shape = (spec.channels, BOX_GRID, BOX_GRID)
    convs: nn.Module = FastRCNNConvFCHead(shape, [spec.channels] * spec.convolutions, [spec.box_width], nn.BatchNorm2d)
    return convs


def _mask_head(spec: DetectorSpec) -> tuple[nn.Module, nn.Module]:
    """The convolutions, and what makes a mask of each class of them."""
    masks = spec.classes if spec.cascaded else spec.classes + 1
    convs = MaskRCNNHeads(spec.channels, [spec.channels] * MASK_CONVS, 1)
    return convs, MaskRCNNPredictor(spec.channels, spec.channels, masks)
