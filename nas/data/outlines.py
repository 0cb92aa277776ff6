"""Masks as COCO's files have them: polygons, or run lengths, whose plain and packed forms its tools read and draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias, final

import numpy as np

from nas.errors import DataError
from nas.tasks import RunLengths, encoded

NEEDED = "masks need the package faster-coco-eval: pip install 'nas[detection]'"


@final
class Polygons(NamedTuple):
    """What is inside of any of these polygons, each x, y, x, y ... in pixels; none: nothing."""

    corners: tuple[tuple[float, ...], ...]


@final
class PackedRuns(NamedTuple):
    """Run lengths in COCO's letters."""

    height: int
    width: int
    counts: str


ObjectOutline: TypeAlias = Polygons | PackedRuns | RunLengths


def drawn(outline: ObjectOutline, height: int, width: int) -> RunLengths:
    """The mask of an object in a picture of this size. Raises `DataError` for runs that are damaged, and where COCO's
    tools are not installed.
    """
    if isinstance(outline, RunLengths):
        return outline
    if isinstance(outline, Polygons) and not outline.corners:
        return encoded(np.zeros((height, width), bool))
    try:
        from faster_coco_eval.core import mask as tools
    except ModuleNotFoundError:
        raise DataError(NEEDED) from None
    try:
        if isinstance(outline, PackedRuns):
            runs = {"size": [height, width], "counts": outline.counts.encode()}
        else:
            runs = tools.merge(tools.frPyObjects([list(corners) for corners in outline.corners], height, width))
        return encoded(tools.decode(runs).astype(bool))
    except (ValueError, RuntimeError) as fault:
        raise DataError(f"a mask that cannot be drawn ({fault})") from None


def packed(masks: Sequence[RunLengths]) -> list[dict[str, object]]:
    """Masks in the packed form that COCO's tools compare, and files of results hold."""
    from faster_coco_eval.core import mask as tools

    return [
        tools.frPyObjects({"size": [mask.height, mask.width], "counts": mask.counts.tolist()}, mask.height, mask.width)
        for mask in masks
    ]
