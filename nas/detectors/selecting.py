"""From boxes and scores to detections: what is too small or improbable goes, and what overlaps something better."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image, remove_small_boxes

from nas.detectors.options import DetectorOptions
from nas.detectors.outputs import Detections

LEAST = 1e-2
"""Sides in pixels of the smallest box."""


def selected(
    boxes: Tensor, scores: Tensor, labels: Tensor, size: tuple[int, int], options: DetectorOptions
) -> Detections:
    """The detections among n boxes (n x 4) of one picture, with their scores and labels (n)."""
    boxes = clip_boxes_to_image(boxes, size)
    keep = torch.where(scores > options.score_threshold)[0]
    keep = keep[remove_small_boxes(boxes[keep], LEAST)]
    boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
    keep = batched_nms(boxes, scores, labels, options.nms_threshold)[: options.detections]
    return Detections(boxes[keep], scores[keep], labels[keep])
