"""What the files of a run's folder `tau` hold, as frozen dataclasses: see `nas.studies.run.results`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, final

from pydantic import Field

from nas.studies.run.rows import ChosenValues, Metrics, RankedRow, Sizes


@final
@dataclass(frozen=True, kw_only=True)
class MemberResult:
    """One architecture whose two rankings are compared: `nas.studies.tau.strata.Member`. `parts` are its metrics on
    each of several parts of the images, the same ones for all.
    """

    architecture: ChosenValues
    band: int
    shared: Metrics
    parts: list[Metrics] = field(default_factory=list)


@final
@dataclass(frozen=True)
class Sample:
    """tau/samples/N.json."""

    members: list[MemberResult]


@final
@dataclass(frozen=True)
class Relearning:
    """How the architectures of a ranking were retrained, each with so many seeds."""

    loss: str
    epochs: int
    from_scratch: bool
    seeds: Annotated[int, Field(ge=1)] = 1

    @property
    def label(self) -> str:
        """Of its files: adjoined-6, plain-6-from-scratch."""
        return f"{self.loss}-{self.epochs}{'-from-scratch' if self.from_scratch else ''}"


@final
@dataclass(frozen=True)
class Statistic:
    """One statistic of two rankings, with its interval, and what a perfect score would reach; None where it is not
    defined.
    """

    statistic: str
    value: float | None
    low: float | None
    high: float | None
    ceiling: float | None = None
    ceiling_low: float | None = None
    ceiling_high: float | None = None


@final
@dataclass(frozen=True)
class JudgedScore:
    """How well a score ranks: Kendall's tau, the same within bands of size, and what is gained over the tau of the
    first score; each with its interval, None where it is not defined.
    """

    score: str
    tau: float | None
    low: float | None
    high: float | None
    within: float | None
    within_low: float | None
    within_high: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None

    @property
    def rank(self) -> float:
        """By which tables are sorted: the best first, those that are not defined last."""
        return 2.0 if self.tau is None else -self.tau


@final
@dataclass(frozen=True)
class Repeats:
    """Values of all architectures, measured `count` times. `signal` is the variance between architectures, `noise` that
    of one measurement; None where nothing was repeated.
    """

    count: Annotated[int, Field(ge=1)]
    signal: Annotated[float, Field(ge=0)] | None
    noise: Annotated[float, Field(ge=0)] | None


@final
@dataclass(frozen=True, kw_only=True)
class RankNoise:
    """How noisy the two sides of a ranking are.

    truth       the metric of retrained architectures, over seeds
    images      the metric with shared weights, over parts of the images
    supernets   the same, over supernets of other seeds; None where there is one
    """

    truth: Repeats
    images: Repeats
    supernets: Repeats | None = None


@final
@dataclass(frozen=True, kw_only=True)
class RankingResult:
    """tau/LABEL-N.json: `nas.studies.run.rank_truth.RankTruth`. `scores` are the metrics with shared weights, and the
    proxies that were asked for; `aggregate` says which of them are in the mean of ranks.
    """

    table: Annotated[list[RankedRow], Field(min_length=1)]
    summary: list[Statistic]
    relearning: Relearning
    images: Annotated[int, Field(ge=1)]
    ties: Sizes
    noise: RankNoise | None = None
    scores: list[JudgedScore] = field(default_factory=list)
    aggregate: list[str] = field(default_factory=list)
