"""What the rounds of the stage `finalists` say: who was trained for how long, and whom that left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, final

from pydantic import Field

from nas.studies.run.paired import PairedDifference
from nas.studies.run.rows import Costs, Metrics, StoredFloat


@final
@dataclass(frozen=True, kw_only=True)
class FinalistResult:
    """One finalist in a round.

    strategy, number   the trial that it is of
    place              among the finalists by its score, 1 for the best
    shared             its metrics with shared weights, as the search saw them
    loss               mean loss on the search-validation split after the round's training: the least one leads
    validation         the task's metrics then
    behind             how much greater its losses are than the leader's, picture by picture
    kept               whether it stays
    """

    strategy: str
    number: int
    digest: str
    place: Annotated[int, Field(ge=1)]
    costs: Costs
    shared: Metrics
    loss: StoredFloat
    validation: Metrics
    behind: PairedDifference
    kept: bool


@final
@dataclass(frozen=True, kw_only=True)
class RoundResult:
    """A round: all are trained for so many `epochs` from their weights in the supernet, and measured on so many
    `images`; the leader first.
    """

    epochs: Annotated[int, Field(ge=1)]
    images: Annotated[int, Field(ge=1)]
    finalists: Annotated[list[FinalistResult], Field(min_length=1)]


@final
@dataclass(frozen=True, kw_only=True)
class FinalistTraining:
    """finalists/round-N/DIGEST.json: the task's metrics on the search-validation split after the training, and its loss
    of each picture.
    """

    digest: str
    validation: Metrics
    losses: Annotated[list[StoredFloat], Field(min_length=1)]

    @property
    def loss(self) -> float:
        """Of all pictures."""
        return sum(self.losses) / len(self.losses)
