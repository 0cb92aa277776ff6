"""Kinds of numbers that fields of options hold, all of them bounded: what is out of reason is refused when it is read,
and not by what cannot compute with it later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, final

from pydantic import AfterValidator


@final
@dataclass(frozen=True)
class Unit:
    """In the annotation of a number: what it counts, or is measured in."""

    name: str


def scaled_rate(rate: float, ratio: float, scaling: str) -> float:
    """A learning rate for `ratio` times as many images: linear, or by the square root (sqrt)."""
    return rate * (ratio if scaling == "linear" else ratio**0.5)


def whole(least: int, most: int) -> AfterValidator:
    """Whole numbers from `least` to `most`, with words of ours for what is allowed."""

    def check(value: int) -> int:
        if not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return value

    return AfterValidator(check)


def number(least: float, most: float) -> AfterValidator:
    """Numbers from `least` to `most`; NaN is none of them."""

    def check(value: float) -> float:
        if not least <= value <= most:
            raise ValueError(f"a number from {least:g} to {most:g}")
        return value

    return AfterValidator(check)


def above(least: float, most: float) -> AfterValidator:
    """Numbers above `least`, and at most `most`."""

    def check(value: float) -> float:
        if not least < value <= most:
            raise ValueError(f"a number above {least:g}, at most {most:g}")
        return value

    return AfterValidator(check)


def below(least: float, most: float) -> AfterValidator:
    """Numbers from `least`, and below `most`."""

    def check(value: float) -> float:
        if not least <= value < most:
            raise ValueError(f"a number from {least:g}, below {most:g}")
        return value

    return AfterValidator(check)


Count = Annotated[int, whole(1, 1_000_000)]
"""How many of something there are, at least one."""
BatchSize = Annotated[Count, Unit("images")]
"""Images that a model sees together."""
Trials = Annotated[Count, Unit("trials")]
"""Architectures that are measured: in all, or in a round."""
Population = Annotated[int, whole(2, 1_000_000), Unit("trials")]
"""As `Trials`, where one alone is none: parents, a race."""
UnitCount = Annotated[Count, Unit("units")]
"""Of what sizes of an axis are multiples, or the least that stays of it."""
ImageCount = Annotated[int, whole(1, 1_000_000_000), Unit("images")]
"""Images of a data set that are looked at; where there are fewer, all of them."""
Workers = Annotated[int, whole(1, 256), Unit("processes")]
"""Processes that one driver starts and hears, on one machine or on many."""
Positive = Annotated[float, number(1e-9, 1e9)]
"""A factor, a duration, a temperature."""
Rate = Annotated[float, above(0, 1000)]
"""A learning rate."""
EpochCount = Annotated[int, whole(0, 1_000_000), Unit("epochs")]
"""Passes over the training images; none where nothing trains."""
Epochs = Annotated[float, number(0, 1_000_000), Unit("epochs")]
"""A part of a training, in passes over its images."""
Weight = Annotated[float, number(0, 1e9)]
"""The weight of a term in a sum; 0 leaves it out."""
Share = Annotated[float, number(0, 1)]
"""A share of a whole, or a probability."""
