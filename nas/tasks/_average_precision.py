"""How well objects are found: COCO's twelve numbers, of boxes and of masks, by the package faster-coco-eval.

Everything is compared in the pictures' own pixels. Only what computes loads torch and that package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from nas.errors import TaskError
from nas.quantities import Quantity
from nas.tasks._annotations import Annotations
from nas.tasks._located import SeenObject, SeenPicture
from nas.tasks._rle import RunLengths, encoded

if TYPE_CHECKING:
    from torch import Tensor

    from nas.detectors import Detections

Kind = Literal["boxes", "masks"]
COMPARED: Mapping[Kind, str] = {"boxes": "bbox", "masks": "segm"}
"""What is compared -> what COCO's evaluation calls it."""
NEEDED = "average precision needs the package faster-coco-eval: pip install 'nas[detection]'"
SURE = 0.5
"""How probable an object must be to be shown."""
MASK_FROM = 0.5
"""How probable a pixel of a mask must be."""
RECALLS = np.linspace(0, 1, 101)
"""Of curves."""
_ABOUT: Mapping[Kind, str] = {
    "boxes": "AP is COCO's: a mean over classes and overlaps (IoU) of 0.50 to 0.95; -1 where there are no such objects",
    "masks": "Mask AP is the same of masks",
}
_TWELVE = (
    ("map", "average precision", "AP"),
    ("ap50", "AP at IoU 0.50", "AP50"),
    ("ap75", "AP at IoU 0.75", "AP75"),
    ("ap_small", "AP of small objects", "AP small"),
    ("ap_medium", "AP of medium objects", "AP medium"),
    ("ap_large", "AP of large objects", "AP large"),
    ("ar1", "recall of 1 detection", "AR 1"),
    ("ar10", "recall of 10 detections", "AR 10"),
    ("ar100", "recall of 100 detections", "AR 100"),
    ("ar_small", "recall of small objects", "AR small"),
    ("ar_medium", "recall of medium objects", "AR medium"),
    ("ar_large", "recall of large objects", "AR large"),
)
"""Name, title and short title of the numbers, in COCO's order."""


def _quantities(kind: Kind) -> tuple[Quantity, ...]:
    before, of = ("", "") if kind == "boxes" else ("mask_", "mask ")
    return tuple(
        Quantity(
            name=before + name, title=of + title, short=of + short, origin="measured", better="more", worst=0.0,
            ideal=1.0, shown="percent", about=_ABOUT[kind] if name == "map" else "",
        )
        for name, title, short in _TWELVE
    )  # fmt: skip


NUMBERS: Mapping[Kind, tuple[Quantity, ...]] = {"boxes": _quantities("boxes"), "masks": _quantities("masks")}


@final
class FoundIn(NamedTuple):
    """The objects of one picture: n boxes (left, top, right, bottom), classes, and masks where they are compared; of
    the truth, crowds and areas; of what was found, scores.
    """

    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    masks: Sequence[RunLengths] | None
    scores: NDArray[np.float64] | None = None
    crowd: NDArray[np.bool_] | None = None
    areas: NDArray[np.float64] | None = None


@final
class Compared(NamedTuple):
    """A picture: what it is called, height and width, what is in it, and what was found."""

    id: int
    height: int
    width: int
    truth: FoundIn
    found: FoundIn


@final
class Precision101(NamedTuple):
    """Of one class, or of all: average precision, and the precision at IoU 0.50 for each of 101 recalls."""

    average: float
    curve: NDArray[np.float64]


def compared(targets: Annotations, detections: Sequence[Detections], kinds: Sequence[Kind]) -> list[Compared]:
    """A batch of pictures with what was found in each."""
    pictures = []
    for number, found in enumerate(detections):
        there = targets.labels[number] != Annotations.NONE
        height, width = (int(side) for side in targets.placement[number, 4:].tolist())
        boxes = targets.restored(number, found.boxes.double())
        masks = _pasted(found.masks, boxes, height, width) if "masks" in kinds and found.masks is not None else None
        truth = FoundIn(
            targets.restored(number, targets.boxes[number][there].double()).cpu().numpy(),
            targets.labels[number][there].cpu().numpy(),
            None if targets.masks is None or "masks" not in kinds else targets.masks[number],
            crowd=targets.crowd[number][there].cpu().numpy(),
            areas=targets.areas[number][there].double().cpu().numpy(),
        )
        scores = found.scores.double().cpu().numpy()
        of_model = FoundIn(boxes.cpu().numpy(), found.labels.cpu().numpy(), masks, scores=scores)
        pictures.append(Compared(int(targets.ids[number]), height, width, truth, of_model))
    return pictures


def _pasted(masks_NSS: Tensor, boxes: Tensor, height: int, width: int) -> list[RunLengths]:
    """Masks of boxes as masks of their picture."""
    from torchvision.models.detection.roi_heads import paste_masks_in_image

    if not len(boxes):
        return []
    drawn = paste_masks_in_image(masks_NSS[:, None].float(), boxes.float(), (height, width))[:, 0] >= MASK_FROM
    return [encoded(mask) for mask in drawn.cpu().numpy()]


@final
@dataclass(frozen=True, eq=False)
class PrecisionTally:
    """Pictures that were seen so far; numbers are computed when they are asked for."""

    kinds: tuple[Kind, ...] = ("boxes",)
    batches: tuple[Sequence[Compared], ...] = ()

    @property
    def n(self) -> int:
        """How many pictures were seen."""
        return sum(map(len, self.batches))

    @property
    def pictures(self) -> list[Compared]:
        """All of them."""
        return [picture for batch in self.batches for picture in batch]

    def after(self, targets: Annotations, detections: Sequence[Detections]) -> PrecisionTally:
        """With one more batch in it."""
        return PrecisionTally(self.kinds, (*self.batches, compared(targets, detections, self.kinds)))

    @property
    def metrics(self) -> dict[str, float]:
        """The twelve numbers of each kind. Raises `TaskError` where the package is missing."""
        return {
            quantity.name: float(value)
            for kind in self.kinds
            for quantity, value in zip(NUMBERS[kind], self._evaluations[kind].stats, strict=False)
        }

    def by_class(self, kind: Kind = "boxes") -> dict[int, Precision101]:
        """Of each class that occurs, by its number."""
        precision = self._evaluations[kind].eval["precision"]  # overlaps x recalls x classes x areas x counts
        of_all = precision[:, :, :, 0, -1]
        labels = self._labels
        return {
            label: Precision101(float(of_all[:, :, k].mean()), of_all[0, :, k])
            for k, label in enumerate(labels)
            if of_all[:, :, k].max(initial=-1) >= 0
        }

    @property
    def _labels(self) -> list[int]:
        return sorted({int(k) for one in self.pictures for of in (one.truth, one.found) for k in of.labels})

    @cached_property
    def _evaluations(self) -> dict[Kind, Any]:
        return {kind: _evaluated(self.pictures, self._labels, kind) for kind in self.kinds}


def seen(picture: Compared) -> SeenPicture:
    """A picture with what is in it and what was found, as far as a model is rather sure of it."""
    true, found = (
        [
            SeenObject(int(of.labels[k]), (left, top, right, bottom), score, of.masks[k] if of.masks else None)
            for k, (score, (left, top, right, bottom)) in enumerate(zip(_scores(of), of.boxes.tolist(), strict=True))
            if score >= SURE
        ]
        for of in (picture.truth, picture.found)
    )
    return SeenPicture(picture.height, picture.width, true, found)


def _scores(objects: FoundIn) -> list[float]:
    return [1.0] * len(objects.labels) if objects.scores is None else objects.scores.tolist()


def results(pictures: Sequence[Compared], category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """What was found, as COCO's files of results have it: one entry for each object."""
    rows = []
    for picture in pictures:
        for number, entry in enumerate(_entries(picture.found, picture.id)):
            category = int(picture.found.labels[number])
            runs = entry.get("segmentation")
            if runs is not None:
                entry["segmentation"] = {**runs, "counts": runs["counts"].decode()}
            rows.append({**entry, "category_id": category_ids[category] if category_ids else category})
    return rows


def _evaluated(pictures: Sequence[Compared], labels: Sequence[int], kind: Kind) -> Any:
    """COCO's evaluation of one kind. Pictures are numbered: one may stand in for another, and come twice."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ModuleNotFoundError:
        raise TaskError(NEEDED) from None
    truth, found = list[dict[str, Any]](), list[dict[str, Any]]()
    for number, picture in enumerate(pictures):
        truth += _entries(picture.truth, number)
        found += _entries(picture.found, number)
    known = COCO(
        {
            "images": [{"id": number, "height": of.height, "width": of.width} for number, of in enumerate(pictures)],
            "annotations": [{**entry, "id": number} for number, entry in enumerate(truth, start=1)],
            "categories": [{"id": label, "name": str(label)} for label in labels],
        }
    )
    evaluation = COCOeval_faster(known, known.loadRes(found), COMPARED[kind], print_function=lambda *_: None)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def _entries(objects: FoundIn, picture: int) -> list[dict[str, Any]]:
    """As COCO writes objects: boxes as left, top, width, height."""
    entries: list[dict[str, Any]] = []
    masks = None if objects.masks is None else packed(objects.masks)
    for number, (left, top, right, bottom) in enumerate(objects.boxes.tolist()):
        entry: dict[str, Any] = {
            "image_id": picture,
            "category_id": int(objects.labels[number]),
            "bbox": [left, top, right - left, bottom - top],
        }
        if objects.scores is not None:
            entry["score"] = float(objects.scores[number])
        if objects.crowd is not None and objects.areas is not None:
            entry |= {"iscrowd": int(objects.crowd[number]), "area": float(objects.areas[number])}
        if masks is not None:
            entry["segmentation"] = masks[number]
        entries.append(entry)
    return entries


def packed(masks: Sequence[RunLengths]) -> list[dict[str, Any]]:
    """Masks in the packed form that COCO's evaluation compares. Raises `TaskError` where its package is missing."""
    try:
        from faster_coco_eval.core import mask as tools
    except ModuleNotFoundError:
        raise TaskError(NEEDED) from None
    return [
        tools.frPyObjects({"size": [mask.height, mask.width], "counts": mask.counts.tolist()}, mask.height, mask.width)
        for mask in masks
    ]
