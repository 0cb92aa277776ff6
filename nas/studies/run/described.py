"""A study's frame as results say it: its search space, its limit, its images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self, final

from pydantic import Field, JsonValue, model_validator

from nas.preprocessing import ImageSize
from nas.studies.run.rows import Costs, StoredFloat, StoredInt

if TYPE_CHECKING:
    from nas.latency.table import LatencyTable

MOST_DIGITS = 4000
"""Of the number of architectures: Python reads no more than 4,300 digits."""


@final
@dataclass(frozen=True, kw_only=True)
class SpaceFacts:
    """The search space: its choices and their values, of which kind each is, how many architectures (in digits: the
    number may be greater than JSON's readers bear), and the costs of the least and of the greatest.
    """

    model: str
    model_args: dict[str, JsonValue]
    choices: dict[str, Annotated[list[StoredInt | StoredFloat], Field(min_length=1)]]
    kinds: dict[str, str]
    architectures: Annotated[str, Field(pattern=r"^\d+$", max_length=MOST_DIGITS)]
    least: Costs
    greatest: Costs
    notes: list[str]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.kinds.keys() >= self.choices.keys():
            raise ValueError("the kind of each choice")
        return self


@final
@dataclass(frozen=True, kw_only=True)
class LimitFacts:
    """The limit: cost -> least and most, None for an open end; in words; and the share of the space within it."""

    bounds: dict[str, tuple[float | None, float | None]]
    text: str
    share: float


@final
@dataclass(frozen=True, kw_only=True)
class TableFacts:
    """The table of latencies: on what it was measured, with how many threads (None where the device does not say), for
    what batches, and how far what it says is from what is measured (shares, for half of the sub-networks and for 95 in
    a hundred; None where it was not asked), beside the noise of a measurement.
    """

    device: str
    threads: int | None
    batch: Annotated[int, Field(ge=1)]
    noise: StoredFloat
    error: StoredFloat | None = None
    most: StoredFloat | None = None

    @classmethod
    def of(cls, table: LatencyTable) -> TableFacts:
        """What a table says of itself."""
        conditions, accuracy = table.conditions, table.accuracy
        return cls(
            device=str(conditions),
            threads=conditions.threads,
            batch=conditions.batch,
            noise=conditions.noise,
            error=None if accuracy is None else accuracy.error,
            most=None if accuracy is None else accuracy.most,
        )


@final
@dataclass(frozen=True, kw_only=True)
class SplitSizes:
    """Images per split."""

    train: int
    validation: int
    test: int


@final
@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """The images: what must not change while a run lasts. `image_size` is in pixels."""

    name: str
    classes: int
    channels: int
    image_size: ImageSize
    images: SplitSizes
