"""What is in a data set, and what is odd about it, from its listing and a few of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas import words
from nas.data import DataSpec, Listing
from nas.data.images import Images, reason
from nas.data.objects import Objects
from nas.data.reading import read
from nas.data.source import Labelled, Source
from nas.tasks import Facts

SAMPLE = 48
"""Pictures that are opened."""
FEW, UNEVEN, WIDE = 10, 10, 4
"""Pictures of a class below which it is told; how many times as many another one has; and how many times as wide."""
SHOWN = 5
"""Names in a sentence."""


@final
@dataclass(frozen=True)
class ObjectSurvey:
    """The objects of the training pictures: how many there are, fewest and most in a picture, of half of them the
    sides are below `side` (pixels, the root of the area); `picture`: height and width that half of the pictures have.
    """

    count: int
    fewest: int
    most: int
    side: float
    picture: tuple[int, int]

    @classmethod
    def of(cls, objects: Objects) -> ObjectSurvey:
        """Those of a split."""
        each = np.diff(objects.starts)
        side = float(np.sqrt(np.median(objects.areas))) if len(objects.areas) else 0.0
        height, width = np.median(objects.sizes, axis=0).astype(int).tolist()
        return cls(len(objects.labels), int(each.min()), int(each.max()), side, (height, width))


@final
@dataclass(frozen=True)
class DataSurvey:
    """A set of pictures. `counts`: pictures of each split that it brings; `per_class`: training pictures of each class,
    or objects; `sides`: the shorter sides of some pictures, in pixels, ascending; `odd`: what a user should know;
    `objects`: of annotated pictures.
    """

    name: str
    facts: Facts
    classes: tuple[str, ...]
    counts: dict[str, int]
    per_class: tuple[int, ...]
    sides: tuple[int, ...]
    odd: tuple[str, ...]
    objects: ObjectSurvey | None = None

    @property
    def pictures(self) -> int:
        """Those that are trained on, or set aside from them."""
        return self.counts["train"]

    @property
    def side(self) -> int:
        """Half of the pictures have a shorter side below it, in pixels."""
        return self.sides[len(self.sides) // 2]

    def lines(self) -> Iterator[str]:
        """What there is, in sentences."""
        splits = ", ".join(f"{count:,} to {_USE[split]}" for split, count in self.counts.items())
        colours = "grey" if self.facts.channels == 1 else "in colour"
        yield f"{len(self.classes)} classes ({words.some(self.classes, SHOWN)}); pictures: {splits}; {colours}"
        fewest, most = int(np.argmin(self.per_class)), int(np.argmax(self.per_class))
        what = "training pictures" if self.objects is None else "objects in the training pictures"
        low, high = f"{self.per_class[fewest]:,}", f"{self.per_class[most]:,}"
        each = f"{what} of a class: {low} ({self.classes[fewest]}) to {high} ({self.classes[most]})"
        if low == high:
            each = f"{low} {what} of each class"
        sides = f"{self.sides[0]} to {self.sides[-1]} pixels, half of them below {self.side}"
        yield f"{each}; shorter sides {sides if len(set(self.sides)) > 1 else f'{self.side} pixels'}"
        if (found := self.objects) is not None:
            masked = ", with masks" if self.facts.truth == "masks" else ""
            yield (
                f"{found.count:,} objects{masked}, {found.fewest} to {found.most} in a picture, half of them smaller "
                f"than {found.side:.0f} x {found.side:.0f} pixels"
            )


_USE = {"train": "train", "validation": "search", "test": "test"}
"""What pictures of a split are for."""


def survey(spec: DataSpec, listing: Listing | None, facts: Facts) -> DataSurvey:
    """Looks at a set of pictures. Raises `DataError` as its reader does."""
    source = read(spec, listing)
    per_class = np.bincount(_labels(source.train), minlength=len(source.classes))
    objects = source.train.objects
    sides, damaged = _looked_at(source.train.images, source.train.indices)
    return DataSurvey(
        name=source.name,
        facts=facts,
        classes=source.classes,
        counts={name: len(split.indices) for name, split in source.splits.items()},
        per_class=tuple(per_class.tolist()),
        sides=tuple(sorted(min(side) for side in sides)) or (0,),
        odd=(*_of_classes(source, per_class), *_of_pictures(sides, damaged), *source.notes),
        objects=None if objects is None else ObjectSurvey.of(objects),
    )


def _labels(split: Labelled) -> NDArray[np.int64]:
    """The class of each picture, or of each object."""
    return split.labels[split.indices] if split.objects is None else split.objects.labels


def _looked_at(images: Images, indices: NDArray[np.int64]) -> tuple[list[tuple[int, int]], list[str]]:
    """Width and height of some pictures, and why others of them cannot be read."""
    sides, damaged = [], []
    chosen = np.linspace(0, len(indices) - 1, min(SAMPLE, len(indices))).round().astype(np.int64)
    for index in indices[chosen].tolist():
        try:
            sides.append(images.picture(index).size)
        except Exception as fault:  # on damaged files PIL's readers raise anything
            damaged.append(f"{images.name(index)} ({reason(fault)})")
    return sides, damaged


def _of_classes(source: Source, per_class: NDArray[np.int64]) -> Iterator[str]:
    scarce = [f"{source.classes[k]} ({per_class[k]})" for k in np.flatnonzero(per_class < FEW)]
    annotated = source.train.objects is not None
    if scarce:
        what = "objects" if annotated else "training pictures"
        yield f"fewer than {FEW} {what} of {words.some(scarce, SHOWN)}: their measures mean little"
    if not annotated and per_class.min() and per_class.max() > UNEVEN * per_class.min():
        yield (
            f"classes are uneven ({per_class.max() / per_class.min():.0f} to 1): the accuracy is mostly that of the "
            "large ones; the report has the mean over classes, too"
        )
    if source.test is None:
        yield "no test split: a fifth of the pictures is set aside for it, the same ones for every study"
    for name, split in source.splits.items():
        lacking = np.setdiff1d(np.arange(len(source.classes)), _labels(split))
        if len(lacking) and name != "train":
            what = "object" if annotated else "picture"
            yield f"{name} has no {what} of {words.some([source.classes[k] for k in lacking], SHOWN)}"


def _of_pictures(sides: list[tuple[int, int]], damaged: list[str]) -> Iterator[str]:
    if damaged:
        yield (
            f"of {len(sides) + len(damaged)} pictures that were opened {len(damaged)} cannot be read: "
            f"{words.some(damaged, SHOWN)}; remove them, or set data.on_error: skip"
        )
    if sides and max(map(max, sides)) > WIDE * min(map(min, sides)):
        yield f"sizes differ widely, sides from {min(map(min, sides))} to {max(map(max, sides))} pixels"
