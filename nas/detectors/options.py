"""The options of detectors: what stands around a body, and how it finds objects. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from nas.documents.conditions import Is, ReadWith
from nas.numbers import Share, Unit, Weight, above, number, whole

Finder = Literal["faster_rcnn", "mask_rcnn", "cascade_rcnn", "cascade_mask_rcnn", "retinanet", "yolos"]
"""What finds objects."""
Head = Literal["faster_rcnn", "mask_rcnn", "cascade_rcnn", "cascade_mask_rcnn", "retinanet", "yolos", "fcn"]
"""The same, and what names the class of every pixel."""
BoxLoss = Literal["smooth_l1", "giou"]
CASCADES, MASKED = ("cascade_rcnn", "cascade_mask_rcnn"), ("mask_rcnn", "cascade_mask_rcnn")
RCNN = ("faster_rcnn", "mask_rcnn", *CASCADES)
ANCHORED = (*RCNN, "retinanet")

Many = Annotated[int, whole(1, 10_000), Unit("boxes")]
Width = Annotated[int, whole(4, 4096), Unit("channels")]
Side = Annotated[float, above(0, 100_000), Unit("pixels")]
ON_PYRAMIDS, BY_ANCHORS, IN_RCNN, IN_RETINANET, IN_YOLOS = (
    ReadWith(Is("head", *heads)) for heads in ((*ANCHORED, "fcn"), ANCHORED, RCNN, ("retinanet",), ("yolos",))
)


@dataclass(frozen=True, kw_only=True)
class DetectorOptions:
    """What finds objects. The defaults are those of the official configurations: Swin Transformer's object detection
    for the R-CNNs, torchvision's RetinaNet, and YOLOS.

    head             faster_rcnn, mask_rcnn, cascade_rcnn, cascade_mask_rcnn, retinanet (on a pyramid of maps), yolos
                     (on detection tokens), or fcn (on a pyramid), which says the class of every pixel
    channels         of the pyramid's maps, and of the layers behind them
    stages           which of the body's maps the pyramid is made of, the finest is 0; the last one must be among them
                     (default: all; of RetinaNet the last three)
    anchors          side in pixels of the anchors of each level; levels beyond the stages are made from the last one:
                     of the R-CNNs one more (every second position), of RetinaNet two (convolutions)
    ratios           heights of anchors over their widths
    octaves          anchors per level and ratio, at 2^(k / octaves) of its side
    candidates       boxes of each level that are looked at, by their scores, before overlapping ones go; in the
                     training of R-CNNs twice as many
    proposals        boxes that an R-CNN looks at in detail; in training twice as many, of which `samples` are drawn
    anchor_samples   anchors per picture that the loss of the proposals is of
    samples          proposals per picture that the loss of a box head is of
    positives        the most of these that may hold an object, as a share
    overlaps         with how much of an object (IoU) a proposal holds it: one number, of a cascade one per stage
    box_convs        3 x 3 convolutions with batch norms in a box head, before its hidden layer; with none, it has two
                     hidden layers (default: 4 in cascades, else none)
    box_width        hidden units of box heads
    box_loss         smooth_l1, or giou (arXiv 1902.09630), weighted 10 (default: giou in cascades)
    class_agnostic   one box for all classes
    canonical        side in pixels of a box whose features are read from the third level; twice the side, the next
    score_threshold  less probable detections are none
    nms_threshold    of two boxes of one class that overlap more (IoU), the less probable one goes
    detections       of a picture, at most
    queries          detection tokens
    mid_positions    position embeddings are added again before every block but the first
    auxiliary        the loss is that of all blocks, not of the last alone
    no_object        weight of tokens that find nothing, in the loss
    """

    head: Head = "faster_rcnn"
    channels: Annotated[Width, ON_PYRAMIDS] = 256
    stages: Annotated[tuple[Annotated[int, whole(0, 15)], ...] | None, ON_PYRAMIDS] = None
    anchors: Annotated[tuple[Side, ...], Field(min_length=1, max_length=8), BY_ANCHORS] = (32, 64, 128, 256, 512)
    ratios: Annotated[
        tuple[Annotated[float, number(0.01, 100)], ...], Field(min_length=1, max_length=16), BY_ANCHORS
    ] = (0.5, 1.0, 2.0)
    octaves: Annotated[int, whole(1, 8), IN_RETINANET] = 3
    candidates: Annotated[Many, BY_ANCHORS] = 1000
    proposals: Annotated[Many, IN_RCNN] = 1000
    anchor_samples: Annotated[Many, IN_RCNN] = 256
    samples: Annotated[Many, IN_RCNN] = 512
    positives: Annotated[Share, IN_RCNN] = 0.25
    overlaps: Annotated[tuple[Share, ...] | None, Field(min_length=1, max_length=8), IN_RCNN] = None
    box_convs: Annotated[Annotated[int, whole(0, 16), Unit("layers")] | None, IN_RCNN] = None
    box_width: Annotated[Width, IN_RCNN] = 1024
    box_loss: Annotated[BoxLoss | None, IN_RCNN] = None
    class_agnostic: Annotated[bool, IN_RCNN] = False
    canonical: Annotated[Side, IN_RCNN] = 224
    score_threshold: Annotated[Share, BY_ANCHORS] = 0.05
    nms_threshold: Annotated[Share, BY_ANCHORS] = 0.5
    detections: Annotated[Annotated[int, whole(1, 1000), Unit("boxes")], BY_ANCHORS] = 100
    queries: Annotated[Annotated[int, whole(1, 2000), Unit("tokens")], IN_YOLOS] = 100
    mid_positions: Annotated[bool, IN_YOLOS] = True
    auxiliary: Annotated[bool, IN_YOLOS] = False
    no_object: Annotated[Weight, IN_YOLOS] = 0.1

    @property
    def cascaded(self) -> bool:
        """Whether several box heads refine the boxes, one after the other."""
        return self.head in CASCADES

    @property
    def masked(self) -> bool:
        """Whether objects have masks."""
        return self.head in MASKED

    @property
    def stage_overlaps(self) -> tuple[float, ...]:
        """One per box head."""
        return self.overlaps or ((0.5, 0.6, 0.7) if self.cascaded else (0.5,))

    @property
    def convolutions(self) -> int:
        """In a box head."""
        return (4 if self.cascaded else 0) if self.box_convs is None else self.box_convs

    @property
    def of_boxes(self) -> BoxLoss:
        """The loss of boxes."""
        return self.box_loss or ("giou" if self.cascaded else "smooth_l1")


@dataclass(frozen=True, kw_only=True)
class DetectorSpec(DetectorOptions):
    """A detector, as a model's arguments describe it: its options, and how many classes of objects it tells apart."""

    classes: Annotated[int, whole(1, 100_000)]

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
