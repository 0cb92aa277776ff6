"""What a tally tells of objects beside numbers: how precise each class is found, and what is seen in some pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, final, runtime_checkable

from nas.tasks._rle import RunLengths

Box = tuple[float, float, float, float]


@final
class SeenObject(NamedTuple):
    """An object that is there, or was found: class, left, top, right, bottom in pixels of the picture, how sure a model
    is of it (1 of the truth), and its mask where there are masks.
    """

    label: int
    box: Box
    score: float
    mask: RunLengths | None


@final
class SeenPicture(NamedTuple):
    """A picture of this height and width with the objects that are there, and those that were found."""

    height: int
    width: int
    true: list[SeenObject]
    found: list[SeenObject]


@runtime_checkable
class Locating(Protocol):
    """A tally that knows where objects are, and where they were found."""

    def precision_curves(self) -> dict[int, list[float]]:
        """Of each class that occurs, its precision (IoU 0.50) at 101 recalls from 0 to 1."""
        ...

    def class_precisions(self) -> dict[int, float]:
        """Of each class that occurs, its average precision: COCO's mean over overlaps (IoU) of 0.50 to 0.95."""
        ...

    def seen(self, pictures: int) -> list[SeenPicture]:
        """The first pictures."""
        ...

    def results(self, category_ids: Sequence[int]) -> list[dict[str, Any]]:
        """All that was found, as COCO's files of results have it. `category_ids`: what the set calls the classes."""
        ...
