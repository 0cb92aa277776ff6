"""What the files of a run's folder `tau` hold, as frozen dataclasses: see `nas.studies.run.results`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, final

from pydantic import Field

from nas.studies.run.rows import ChosenValues, Metrics, RankedRow, Sizes


@final
@dataclass(frozen=True, kw_only=True)
class MemberResult:
    """One architecture whose two rankings are compared: `nas.studies.tau.strata.Member`."""

    architecture: ChosenValues
    band: int
    shared: Metrics


@final
@dataclass(frozen=True)
class Sample:
    """tau/samples/N.json."""

    members: list[MemberResult]


@final
@dataclass(frozen=True)
class Relearning:
    """How the architectures of a ranking were retrained."""

    loss: str
    epochs: int
    from_scratch: bool

    @property
    def label(self) -> str:
        """Of its files: adjoined-6, plain-6-from-scratch."""
        return f"{self.loss}-{self.epochs}{'-from-scratch' if self.from_scratch else ''}"


@final
@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One statistic of two rankings, with its interval; None where it is not defined."""

    statistic: str
    value: float | None
    low: float | None
    high: float | None


@final
@dataclass(frozen=True, kw_only=True)
class RankingResult:
    """tau/LABEL-N.json: `nas.studies.run.rank_truth.RankTruth`."""

    table: Annotated[list[RankedRow], Field(min_length=1)]
    summary: list[Statistic]
    relearning: Relearning
    images: Annotated[int, Field(ge=1)]
    ties: Sizes
