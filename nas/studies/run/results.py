"""What each stage of a run returns, and keeps in its result.json: one frozen dataclass per stage, its fields in the
order of the file's keys.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar, final

from pydantic import AfterValidator, Field, JsonValue
from typing_extensions import override

from nas import quantities, words
from nas.errors import RunError, nearest
from nas.preprocessing import Preprocessing
from nas.quantities import Quantity
from nas.studies.run.described import DataFacts, LimitFacts, SpaceFacts, TableFacts
from nas.studies.run.measured import ConfusionFacts, ForeseenTime, LatencyFacts, LocatedFacts
from nas.studies.run.paired import PairedDifference
from nas.studies.run.rounds import RoundResult
from nas.studies.run.rows import (
    BASE_MODEL,
    RETRAINED,
    UNIFORM,
    WINNER,
    ChosenValues,
    Costs,
    ExtractedResult,
    Metrics,
    Numbers,
    RowResult,
)
from nas.studies.run.seals import Seal
from nas.studies.run.typed_json import absent, empty

if TYPE_CHECKING:
    from nas.training.history import Epoch


class StageResult(ABC):
    """What a stage returns."""

    @abstractmethod
    def outcome(self, metric: Quantity) -> str:
        """What came of the stage, in a few words; `metric` is the first one of the study's task."""

    @property
    def warnings(self) -> list[str]:
        """What a user should know before the next stage begins."""
        return []


@final
@dataclass(frozen=True)
class Stamp:
    """What every result.json says beside the result: how long the stage took, which commit ran it, and its seal."""

    seconds: float
    commit: str
    seal: Annotated[Seal | None, Field(exclude_if=absent)] = None


@final
@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """One epoch of a training, see `nas.training.history.Epoch`."""

    epoch: int
    loss: float
    lr: float
    seconds: float
    metrics: Numbers


def epochs_of(history: Iterable[Epoch]) -> list[EpochResult]:
    """The epochs of a training as results keep them."""
    return [
        EpochResult(epoch=epoch.epoch, loss=epoch.loss, lr=epoch.lr, seconds=epoch.seconds, metrics=dict(epoch.metrics))
        for epoch in history
    ]


@final
@dataclass(frozen=True, kw_only=True)
class PrepareResult(StageResult):
    """The study's frame. `base` are the costs of the whole model; `device` is the type of torch's device; `tables` are
    what the study's tables say of themselves, by quantity (in earlier runs `latency`, of one); `preprocessing` says how
    pictures became images, `outputs` what a saved model says of what it puts out, and `notes` what a user should know
    of the data.
    """

    space: SpaceFacts
    base: Costs
    limit: LimitFacts
    data: DataFacts
    device: str
    tables: dict[str, TableFacts] = field(default_factory=dict)
    latency: Annotated[TableFacts | None, Field(exclude_if=absent)] = None
    preprocessing: Annotated[Preprocessing | None, Field(exclude_if=absent)] = None
    outputs: dict[str, JsonValue] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    @override
    def warnings(self) -> list[str]:
        return self.notes

    @override
    def outcome(self, metric: Quantity) -> str:
        return (
            f"{words.architectures(self.space.architectures)} architectures, {words.share(self.limit.share)} within "
            f"the limit ({self.limit.text})"
        )


@final
@dataclass(frozen=True, kw_only=True)
class BaseResult(StageResult):
    """How the whole model was trained, and its metrics on the validation split; `notes` say what was done to a
    checkpoint to make it fit.
    """

    history: list[EpochResult]
    validation: Metrics
    notes: list[str] = field(default_factory=list)

    @property
    @override
    def warnings(self) -> list[str]:
        return self.notes

    @override
    def outcome(self, metric: Quantity) -> str:
        return f"validation {metric.title} {metric.show(self.validation[metric.name])}"


SMALLEST = "smallest"
"""Key of the smallest sub-network's value beside the largest one's, which has the metric's own name."""


@final
@dataclass(frozen=True, kw_only=True)
class SupernetResult(StageResult):
    """How the supernet was trained, and the first metric of its largest and of its smallest sub-network on the
    validation split. `importance` are the epochs in which the importance criterion trained, if it did.
    """

    history: list[EpochResult]
    validation: Metrics
    importance: list[EpochResult] = field(default_factory=list)

    @override
    def outcome(self, metric: Quantity) -> str:
        return (
            f"validation {metric.title} {metric.show(self.validation[metric.name])} largest, "
            f"{metric.show(self.validation[SMALLEST])} smallest"
        )


@final
@dataclass(frozen=True, kw_only=True)
class WinnerResult:
    """The trial that a search ended with."""

    strategy: str
    number: int
    digest: str
    architecture: ChosenValues
    metrics: Numbers
    costs: Costs

    @property
    def identity(self) -> tuple[str, int, str]:
        """Strategy, number and digest: which trial of the run it is."""
        return self.strategy, self.number, self.digest


@final
@dataclass(frozen=True, kw_only=True)
class RelaxationResult:
    """explore/relaxation.json: how the supernet that the strategy works on was trained."""

    rows: list[EpochResult]


@final
@dataclass(frozen=True, kw_only=True)
class ExploreResult(StageResult):
    """What the searches found.

    winner, uniform       the best trials of the study's strategy and of the baseline, which is left out where it is the
                          strategy itself
    finalists             trials that compete before a winner is named; none where the best trial wins
    trials                how many were recorded; of those `measured` did not repeat an architecture, `failed` have an
                          error, and `stopped` saw a part of the images only
    candidates_per_hour   strategy -> architectures that one worker measures in an hour
    adopted               whether the strategy's architectures were measured on a supernet of its own
    relaxation            the epochs in which it was trained
    """

    winner: WinnerResult
    uniform: Annotated[WinnerResult | None, Field(exclude_if=absent)] = None
    trials: int
    measured: int
    failed: int
    stopped: int = 0
    candidates_per_hour: Numbers = field(default_factory=dict)
    adopted: bool = False
    relaxation: list[EpochResult] = field(default_factory=list)
    finalists: Annotated[list[WinnerResult], Field(exclude_if=empty)] = field(default_factory=list)

    @property
    def roles(self) -> dict[str, WinnerResult]:
        """Role -> its trial, the winner first."""
        return {WINNER: self.winner} | ({UNIFORM: self.uniform} if self.uniform else {})

    @override
    def outcome(self, metric: Quantity) -> str:
        size = quantities.find(quantities.SIZE)
        return (
            f"winner {self.winner.digest}, {size.show(self.winner.costs[size.name])} {size.title}, {self.measured} "
            "architectures measured"
        )


@final
@dataclass(frozen=True, kw_only=True)
class FinalistsResult(StageResult):
    """The winner, and the rounds that decided it; without rounds, it is the best trial."""

    winner: WinnerResult
    rounds: list[RoundResult]

    @override
    def outcome(self, metric: Quantity) -> str:
        if not self.rounds:
            return "the best trial wins"
        value = self.rounds[-1].finalists[0].validation[metric.name]
        return (
            f"winner {self.winner.digest} of {len(self.rounds[0].finalists)}, {len(self.rounds)} rounds, validation "
            f"{metric.title} {metric.show(value)}"
        )


@final
@dataclass(frozen=True, kw_only=True)
class ExtractResult(StageResult):
    """The winners as plain modules."""

    winner: ExtractedResult
    uniform: Annotated[ExtractedResult | None, Field(exclude_if=absent)] = None

    @property
    def roles(self) -> dict[str, ExtractedResult]:
        """Role -> its model, the winner first."""
        return {WINNER: self.winner} | ({UNIFORM: self.uniform} if self.uniform else {})

    @override
    def outcome(self, metric: Quantity) -> str:
        return f"greatest difference to the supernet {self.winner.difference:g}"


@final
@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """One retraining, in a file of its own and in the result of its stage or ranking: the epochs, and the model's
    metrics on the validation split.
    """

    digest: str
    history: list[EpochResult]
    validation: Metrics


def _complete(rows: list[RowResult]) -> list[RowResult]:
    if not {BASE_MODEL, f"{WINNER}{RETRAINED}"} <= {row.model for row in rows}:
        raise ValueError("rows of the base and of the retrained winner")
    batches = rows[0].latency.keys()
    if any(row.latency.keys() != batches or min(row.latency.values(), default=1.0) <= 0 for row in rows):
        raise ValueError("the latency of each model at each batch size")
    return rows


@final
@dataclass(frozen=True, kw_only=True)
class RetrainResult(StageResult):
    """Role -> its retraining, and the results table. `twins`: strategy and baseline chose the same architecture on the
    same supernet, which was retrained once. `confusion` is that of each row's model, `located` what each found.
    `foreseen_by`: what tables predicted and what was timed, by quantity and model (in earlier runs `foreseen`, of one).
    `against_uniform`: metric -> the retrained winner minus uniform's on the test split, picture by picture; absent
    where they are the same.
    """

    trainings: dict[str, TrainingResult]
    rows: Annotated[list[RowResult], AfterValidator(_complete)]
    latency: LatencyFacts
    twins: bool
    confusion: Annotated[ConfusionFacts | None, Field(exclude_if=absent)] = None
    located: Annotated[dict[str, LocatedFacts] | None, Field(exclude_if=absent)] = None
    against_uniform: Annotated[dict[str, PairedDifference] | None, Field(exclude_if=absent)] = None
    foreseen: Annotated[dict[str, ForeseenTime] | None, Field(exclude_if=absent)] = None
    foreseen_by: dict[str, dict[str, ForeseenTime]] = field(default_factory=dict)

    def row(self, model: str) -> RowResult:
        """The row of one model."""
        return next(row for row in self.rows if row.model == model)

    @property
    def winner(self) -> RowResult:
        """The row of what the study ends with: the winner, retrained."""
        return self.row(f"{WINNER}{RETRAINED}")

    @override
    def outcome(self, metric: Quantity) -> str:
        return f"test {metric.title} {metric.show(self.winner.test[metric.name])}"


@final
@dataclass(frozen=True, kw_only=True)
class ReportResult(StageResult):
    """Names of the files that were written."""

    files: list[str]

    @override
    def outcome(self, metric: Quantity) -> str:
        return ", ".join(self.files)


R = TypeVar("R", bound=StageResult, covariant=True)


@final
@dataclass(frozen=True)
class Stage(Generic[R]):
    """A stage of a run: its name, which is that of its folder, and what it returns."""

    name: str
    result: type[R]

    def __str__(self) -> str:
        return self.name


PREPARE = Stage("prepare", PrepareResult)
BASE = Stage("base", BaseResult)
SUPERNET = Stage("supernet", SupernetResult)
EXPLORE = Stage("explore", ExploreResult)
FINALISTS = Stage("finalists", FinalistsResult)
EXTRACT = Stage("extract", ExtractResult)
RETRAIN = Stage("retrain", RetrainResult)
REPORT = Stage("report", ReportResult)
STAGES: tuple[Stage[StageResult], ...] = (PREPARE, BASE, SUPERNET, EXPLORE, FINALISTS, EXTRACT, RETRAIN, REPORT)
"""In their order."""


def stage_called(name: str) -> Stage[StageResult]:
    """The stage of a name. Raises `RunError` when there is none."""
    names = [stage.name for stage in STAGES]
    if name not in names:
        raise RunError(f"no stage '{name}'; there are: {', '.join(names)}{nearest(name, names)}")
    return STAGES[names.index(name)]
