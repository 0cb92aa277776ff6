"""Region proposals (arXiv 1506.01497), by torchvision's parts: anchors, their scores and shifts, the best of them."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead, concat_box_prediction_layers

from nas.detectors.options import DetectorOptions
from nas.detectors.outputs import Truth

OBJECT, BACKGROUND = 0.7, 0.3
"""An anchor that overlaps an object at least so much holds it; one that overlaps each of them less holds none."""


def anchors_of(options: DetectorOptions) -> AnchorGenerator:
    """Anchors of each level: one side (of RetinaNet several), and all ratios."""
    octaves = options.octaves if options.head == "retinanet" else 1
    sides = tuple(tuple(side * 2 ** (k / octaves) for k in range(octaves)) for side in options.anchors)
    return AnchorGenerator(sides, (tuple(options.ratios),) * len(sides))


def pictures(images: Tensor) -> ImageList:
    """The images as torchvision wants them, all of one size."""
    return ImageList(images, [(int(images.shape[-2]), int(images.shape[-1]))] * len(images))


@final
class Proposals(RegionProposalNetwork):  # type: ignore[misc]  # torchvision has no types
    """torchvision's network of region proposals, whose losses do not depend on the mode."""

    def __init__(self, options: DetectorOptions) -> None:
        anchors = anchors_of(options)
        head = RPNHead(options.channels, anchors.num_anchors_per_location()[0])
        super().__init__(
            anchors,
            head,
            OBJECT,
            BACKGROUND,
            options.anchor_samples,
            0.5,
            {"training": 2 * options.candidates, "testing": options.candidates},
            {"training": 2 * options.proposals, "testing": options.proposals},
            0.7,
        )

    def forward(
        self, images: Tensor, levels: list[Tensor], truth: Truth | None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """The proposals of each image (n x 4), and the losses where the truth is known."""
        scores, shifts = self.head(levels)
        of_levels = [level[0].numel() for level in scores]
        anchors = self.anchor_generator(pictures(images), levels)
        scores, shifts = concat_box_prediction_layers(scores, shifts)
        # No gradient flows through where proposals lie.
        boxes = self.box_coder.decode(shifts.detach(), anchors).view(len(images), -1, 4)
        proposals, _ = self.filter_proposals(boxes, scores, pictures(images).image_sizes, of_levels)
        if truth is None:
            return proposals, {}
        with torch.no_grad():
            objects = [truth.of(picture) for picture in range(len(truth))]
            labels, matched = self.assign_targets_to_anchors(anchors, objects)
            wanted = self.box_coder.encode(matched, anchors)
        of_scores, of_boxes = self.compute_loss(scores, shifts, labels, wanted)
        return proposals, {"objectness": of_scores, "proposal_box": of_boxes}
