"""What the models of a first study are for, as far as the data say it: classes, or objects in boxes or with masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from nas import tasks
from nas.documents.plugged import plugin_of
from nas.preprocessing import ImageSize
from nas.studies.drafting.survey import DataSurvey, ObjectSurvey
from nas.studies.file.config import TASK
from nas.tasks import Task

GRID = 32
"""Sides of annotated pictures are multiples of it: so often do most bodies halve them."""
LONG, LONG_ON_GPU = 256, 640
"""The longer side that pictures are shrunk to, in pixels."""
SMALL, LONGEST = 8.0, 512
"""Half of the objects are to be larger than this, in pixels, as far as the longer side without a GPU allows it."""
SMALL_PICTURES = 320
"""The longer side up to which the detectors for small pictures are taken."""


@final
@dataclass(frozen=True)
class Aim:
    """What a first study is for. `options` stand behind `task:`, none where it is the default; `bounded` is the cost
    that a goal means which names none.
    """

    task: Task
    options: Mapping[str, Any]
    bounded: str
    image_size: ImageSize | None
    about_task: str = ""
    about_limit: str = "of the whole model; also params: 5 M, or both"


def aim_of(looked: DataSurvey, image_size: ImageSize | None, own_side: int | None, *, gpu: bool) -> Aim:
    """The aim for these data, with pictures of the size that is asked for, if any; `own_side` is that of the model's
    where it is free to take smaller ones.
    """
    if looked.objects is None:
        side = looked.side // GRID * GRID
        smaller = image_size is None and own_side is not None and GRID <= side < own_side
        return Aim(tasks.find(tasks.DEFAULT)(), {}, "macs", side if smaller else image_size)
    size = image_size or letterbox(looked.objects, gpu=gpu)
    longer = max(size) if isinstance(size, tuple) else size
    masked = looked.facts.truth == "masks"
    options = {
        "use": "small_rcnn" if longer <= SMALL_PICTURES else "detection",
        "head": "mask_rcnn" if masked else "faster_rcnn",
    }
    return Aim(
        plugin_of(options, TASK),
        options,
        "body_macs",
        size,
        "or task: segmentation, a class for every pixel" if masked else "also retinanet, cascade_rcnn; yolos on a ViT",
        "of the body; pyramid and heads stay whole. macs: 70% bounds all of it",
    )


def letterbox(objects: ObjectSurvey, *, gpu: bool) -> tuple[int, int]:
    """Height and width to which annotated pictures are shrunk: small without a GPU, unless their objects would be too
    small to be found.
    """
    height, width = objects.picture
    longer = float(LONG_ON_GPU if gpu else LONG)
    if objects.side:
        longer = max(longer, min(LONGEST, SMALL * max(height, width) / objects.side))
    scale = min(1.0, longer / max(height, width))
    sides = (max(2 * GRID, round(scale * side / GRID) * GRID) for side in (height, width))
    return next(sides), next(sides)
