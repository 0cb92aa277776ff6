"""What is measured of the models of a study beside their rows, as results keep it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self, final

from pydantic import Field, model_validator

from nas.studies.run.rows import Numbers, Sizes, StoredCount


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
