"""What detectors are called with, and what they return.

Boxes are x1, y1, x2, y2 in pixels of the picture that the model sees, of which none is larger than another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from torch import Tensor


@final
@dataclass(frozen=True, eq=False)
class Truth:
    """The objects of B pictures, padded to M each.

    boxes    float, B x M x 4
    labels   int64, B x M, counted from 0; -1 where there is no object
    crowd    bool, B x M: groups of objects, from which nothing is learned
    masks    of each picture, uint8, objects x H x W, without padding; None where objects have none
    share    how many objects a loss is divided by, where these pictures are a part of a batch: its objects, divided
             among the parts by how many pictures they have; None where they are all of it
    """

    boxes: Tensor
    labels: Tensor
    crowd: Tensor
    masks: Sequence[Tensor] | None = None
    share: float | None = None

    def of(self, picture: int) -> dict[str, Tensor]:
        """The objects of one picture that something is learned from, as torchvision names them; labels from 0."""
        there = self.labels[picture] >= 0
        learned = there & ~self.crowd[picture]
        objects = {"boxes": self.boxes[picture][learned], "labels": self.labels[picture][learned]}
        if self.masks is not None:
            masks = self.masks[picture].to(self.boxes.device)
            objects["masks"] = masks[learned[there]]
        return objects

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self.boxes)


@final
@dataclass(frozen=True, eq=False)
class Supervised:
    """Pictures (float, B x C x H x W) with their objects: a detector that is called with them returns losses.

    `detect`: in evaluation, objects are looked for too.
    """

    images: Tensor
    truth: Truth
    detect: bool = False

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self.images)


@final
@dataclass(frozen=True, eq=False)
class Detections:
    """The objects that were found in one picture, the most probable first.

    boxes, scores, labels   float n x 4, float n, int64 n; labels are counted from 0
    masks                   float n x S x S: how probable each part of the box is the object's; None without masks
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor | None = None

    def __len__(self) -> int:
        """How many objects were found."""
        return len(self.scores)


@final
@dataclass(frozen=True, eq=False)
class DetectorOutputs:
    """What a detector makes of B pictures.

    fixed        what has the same shape whatever is in the pictures, by name: maps of the pyramid and proposals, or
                 classes and boxes of detection tokens. By these two detectors are compared
    losses       by name, scalars; empty without the truth
    detections   one per picture; empty where nothing was looked for
    """

    fixed: Mapping[str, Tensor]
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    detections: Sequence[Detections] = ()
