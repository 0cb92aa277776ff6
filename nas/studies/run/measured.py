"""What is measured of the models of a study beside their rows, as results keep it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Self, final

from pydantic import Field, model_validator

from nas.studies.run.rows import Numbers, Sizes, StoredCount

if TYPE_CHECKING:
    from nas.tasks import Locating, SeenPicture


@final
@dataclass(frozen=True, kw_only=True)
class LatencyFacts:
    """How latency was measured: median milliseconds per model and batch size, rounds per batch size, threads."""

    milliseconds: dict[str, Numbers]
    rounds: Sizes
    threads: int
    device: str
    note: str


@final
@dataclass(frozen=True, kw_only=True)
class ForeseenTime:
    """Nanoseconds of a model as a table predicts them, and as they were timed as the table's were; with their noise."""

    predicted: Annotated[int, Field(ge=1)]
    timed: Annotated[int, Field(ge=1)]
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)]


_Label = Annotated[int, Field(ge=0, lt=100_000)]
_Side = Annotated[int, Field(ge=1, le=100_000)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


@final
@dataclass(frozen=True, kw_only=True)
class ObjectFacts:
    """An object in a picture: see `nas.tasks.SeenObject`. `mask` are run lengths."""

    label: _Label
    box: tuple[_Number, _Number, _Number, _Number]
    score: _Number
    mask: list[Annotated[int, Field(ge=0, le=10**10)]] | None = None


@final
@dataclass(frozen=True, kw_only=True)
class PictureFacts:
    """A picture with the objects that are there, and those that a model found; the picture itself is in a file."""

    height: _Side
    width: _Side
    true: Annotated[list[ObjectFacts], Field(max_length=2000)]
    found: Annotated[list[ObjectFacts], Field(max_length=2000)]

    @model_validator(mode="after")
    def _of_its_size(self) -> Self:
        masks = [one.mask for one in (*self.true, *self.found) if one.mask is not None]
        if any(sum(mask) != self.height * self.width for mask in masks):
            raise ValueError("masks of the picture's size")
        return self


@final
@dataclass(frozen=True, kw_only=True)
class LocatedFacts:
    """What a model found on the test split: precision of each class at 101 recalls, its average precision (which
    earlier runs did not record), and some pictures.
    """

    classes: Annotated[list[str], Field(min_length=1)]
    curves: dict[str, Annotated[list[_Number], Field(min_length=101, max_length=101)]]
    pictures: Annotated[list[PictureFacts], Field(max_length=16)]
    averages: dict[str, _Number] = field(default_factory=dict)

    @model_validator(mode="after")
    def _of_known_classes(self) -> Self:
        every = (one for picture in self.pictures for one in (*picture.true, *picture.found))
        if any(one.label >= len(self.classes) for one in every):
            raise ValueError("objects of the classes that are named")
        return self

    @classmethod
    def of(cls, tally: Locating, classes: Sequence[str], pictures: int) -> LocatedFacts:
        """What a tally knows; of so many pictures."""
        curves = {classes[label]: curve for label, curve in tally.precision_curves().items()}
        return cls(
            classes=list(classes),
            curves=curves,
            pictures=[_picture(picture) for picture in tally.seen(pictures)],
            averages={classes[label]: average for label, average in tally.class_precisions().items()},
        )


def _picture(picture: SeenPicture) -> PictureFacts:
    true, found = (
        [
            ObjectFacts(
                label=one.label,
                box=one.box,
                score=one.score,
                mask=None if one.mask is None else one.mask.counts.tolist(),
            )
            for one in objects
        ]
        for objects in (picture.true, picture.found)
    )
    return PictureFacts(height=picture.height, width=picture.width, true=true, found=found)


@final
@dataclass(frozen=True, kw_only=True)
class ConfusionFacts:
    """Model -> how many test images of each class (rows) it took for each class (columns), in the order of `classes`;
    recorded where these are few.
    """

    classes: Annotated[list[str], Field(min_length=1)]
    models: dict[str, list[list[StoredCount]]]

    @model_validator(mode="after")
    def _square(self) -> Self:
        shape = [len(self.classes)] * len(self.classes)
        if any([len(row) for row in matrix] != shape for matrix in self.models.values()):
            raise ValueError("a row and a column for each class")
        return self
