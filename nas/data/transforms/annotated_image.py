"""A picture in its letterbox with what is annotated in it, as torchvision's transforms take them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as vision

from nas.data.letterbox import FILL
from nas.tasks import Annotations, Batch, encoded

LEAST = 1.0
"""Pixels of a box's shorter side: what is left of a smaller one is no object any more."""


@final
@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """A picture (uint8, C x H x W) with K boxes (float, K x 4), their classes (int64) and crowds (bool), and their
    masks (bool, K x H x W) where there are such.
    """

    pixels: Tensor
    boxes: Tensor
    labels: Tensor
    crowd: Tensor
    masks: Tensor | None = None

    def through(self, transform: Callable[..., Any]) -> AnnotatedImage:
        """The image after a transform; boxes of which nothing is left in the picture are gone."""
        size = tuple(self.pixels.shape[-2:])
        boxes = tv_tensors.BoundingBoxes(self.boxes, format="XYXY", canvas_size=size)
        # torchvision's transforms stumble over no masks at all: then one stands for all of them.
        masks = self.masks if self.masks is not None and len(self.masks) else torch.zeros(1, *size, dtype=torch.bool)
        pixels, boxes, masks = transform(tv_tensors.Image(self.pixels), boxes, tv_tensors.Mask(masks))
        boxes = torch.as_tensor(vision.clamp_bounding_boxes(boxes)).as_subclass(Tensor)
        kept = (boxes[:, 2:] - boxes[:, :2]).amin(1) >= LEAST
        return AnnotatedImage(
            pixels.as_subclass(Tensor),
            boxes[kept],
            self.labels[kept],
            self.crowd[kept],
            None if self.masks is None else masks.as_subclass(Tensor)[: len(self.masks)][kept],
        )


def image_of(pictures: Batch, number: int) -> AnnotatedImage:
    """One of the pictures of a batch (uint8, annotated)."""
    targets = pictures.targets
    assert isinstance(targets, Annotations)
    there = targets.labels[number] != Annotations.NONE
    return AnnotatedImage(
        pictures.inputs[number],
        targets.boxes[number][there],
        targets.labels[number][there],
        targets.crowd[number][there],
        None if targets.masks is None else targets.letterboxed_masks(number),
    )


def as_batch(image: AnnotatedImage, identity: int) -> Batch:
    """A batch of one: the image is the whole of a picture now."""
    height, width = image.pixels.shape[-2:]
    sizes = image.boxes[:, 2:] - image.boxes[:, :2]
    masks = None if image.masks is None else (tuple(encoded(mask.numpy()) for mask in image.masks),)
    targets = Annotations(
        boxes=image.boxes[None].float(),
        labels=image.labels[None],
        crowd=image.crowd[None],
        areas=sizes.prod(1)[None].float(),
        ids=torch.tensor([identity]),
        placement=torch.tensor([[1.0, 1.0, 0.0, 0.0, height, width]]),
        size=(height, width),
        masks=masks,
    )
    return Batch(image.pixels[None], targets)


def mosaic(images: Sequence[AnnotatedImage]) -> AnnotatedImage:
    """Four images of one size, each at half of it, as one of that size."""
    height, width = images[0].pixels.shape[-2:]
    half = (height // 2, width // 2)
    pixels = torch.full_like(images[0].pixels, FILL)
    parts = []
    for number, one in enumerate(images[:4]):
        top, left = half[0] * (number // 2), half[1] * (number % 2)
        small = one.through(lambda *parts: [vision.resize(part, list(half)) for part in parts])
        pixels[:, top : top + half[0], left : left + half[1]] = small.pixels
        masks = small.masks
        if masks is not None:
            masks = vision.pad(masks, [left, top, width - left - half[1], height - top - half[0]])
        parts.append((small.boxes + torch.tensor([left, top, left, top]), small.labels, small.crowd, masks))
    boxes, labels, crowd, masked = zip(*parts, strict=True)
    every = None if any(masks is None for masks in masked) else torch.cat(masked)
    return AnnotatedImage(pixels, torch.cat(boxes), torch.cat(labels), torch.cat(crowd), every)
