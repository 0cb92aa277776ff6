"""What the files of a run's folder hold, as frozen dataclasses: a file that was damaged by hand, but is valid JSON, is
found out when it is read, not where a key is missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Literal, final

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

Numbers = dict[str, float]
Sizes = dict[str, int]
Values = dict[str, int | float]


@final
@dataclass(frozen=True)
class Identity:
    """run.json."""

    id: Annotated[str, Field(min_length=1)]
    created: str
    commit: str
    version: str
    threads: Annotated[int, Field(ge=1)]


@final
@dataclass(frozen=True)
class Named:
    """`strategy:` of study.yaml."""

    name: str
    use: str


@final
@dataclass(frozen=True)
class Settings:
    """study.yaml, as far as it is read without the study's own reader."""

    name: str
    seed: int
    strategy: Named
    objectives: Annotated[dict[str, Literal["max", "min"]], Field(min_length=1)]
    store: str | None = None


@final
@dataclass(frozen=True)
class Counted:
    """Costs of one architecture."""

    macs: int
    params: int


@final
@dataclass(frozen=True)
class Earlier:
    """A trial of another run."""

    number: int
    architecture: Values
    metrics: Numbers
    costs: Counted
    strategy: str
    seed: int
    seconds: float


@final
@dataclass(frozen=True)
class Prior:
    """prior.json: what the search may learn from, see `nas.studies.run.prior`."""

    trials: list[Earlier]


@final
@dataclass(frozen=True)
class SpaceFacts:
    """The search space."""

    model: str
    choices: dict[str, Annotated[list[int | float], Field(min_length=1)]]
    kinds: dict[str, str]
    architectures: Annotated[str, Field(pattern=r"^\d+$")]
    least: Counted
    greatest: Counted
    notes: list[str]


@final
@dataclass(frozen=True)
class LimitFacts:
    """The limit."""

    bounds: dict[Literal["macs", "params"], tuple[float | None, float | None]]
    text: str
    share: float


@final
@dataclass(frozen=True)
class Images:
    """Images per split."""

    train: int
    validation: int
    test: int


@final
@dataclass(frozen=True)
class DataFacts:
    """The images."""

    name: str
    classes: int
    channels: int
    image_size: int
    images: Images


@final
@dataclass(frozen=True)
class PrepareResult:
    """The stage `prepare`."""

    space: SpaceFacts
    base: Counted
    limit: LimitFacts
    data: DataFacts
    seconds: float


@final
@dataclass(frozen=True)
class EpochRow:
    """One epoch of a training."""

    epoch: int
    loss: float
    metrics: Numbers


@final
@dataclass(frozen=True)
class Ends:
    """Validation accuracy of the largest and of the smallest sub-network."""

    accuracy: float
    smallest: float


@final
@dataclass(frozen=True)
class MeasuredResult:
    """What was measured on the validation split."""

    accuracy: float


@final
@dataclass(frozen=True)
class BaseResult:
    """The stage `base`."""

    history: list[EpochRow]
    validation: MeasuredResult
    seconds: float


@final
@dataclass(frozen=True)
class SupernetResult:
    """The stage `supernet`."""

    history: list[EpochRow]
    validation: Ends
    seconds: float
    importance: list[EpochRow] = field(default_factory=list)


@final
@dataclass(frozen=True)
class WinnerResult:
    """The trial that a search ended with."""

    strategy: str
    number: int
    digest: str
    architecture: Values
    metrics: Numbers
    costs: Counted


@final
@dataclass(frozen=True)
class RelaxationResult:
    """explore/relaxation.json: how the supernet that the strategy works on was trained."""

    rows: list[EpochRow]


@final
@dataclass(frozen=True)
class ExploreResult:
    """The stage `explore`."""

    winner: WinnerResult
    trials: int
    measured: int
    failed: int
    seconds: float
    uniform: WinnerResult | None = None
    adopted: bool = False
    stopped: int = 0
    candidates_per_hour: Numbers = field(default_factory=dict)
    relaxation: list[EpochRow] = field(default_factory=list)


@final
@dataclass(frozen=True)
class ExtractedResult:
    """One extracted model."""

    digest: str
    architecture: Values
    macs: int
    params: int
    kept: Sizes
    full: Sizes
    difference: float
    images: int
    slices_only: bool


@final
@dataclass(frozen=True)
class ExtractResult:
    """The stage `extract`."""

    winner: ExtractedResult
    seconds: float
    uniform: ExtractedResult | None = None


@final
@dataclass(frozen=True)
class TrainingResult:
    """One retraining, in a file of its own and in the stage's result."""

    digest: str
    history: list[EpochRow]
    validation: MeasuredResult


@final
@dataclass(frozen=True)
class RowResult:
    """One row of the results table."""

    model: str
    strategy: str
    seed: int
    digest: str
    test_accuracy: float
    test_images: Annotated[int, Field(ge=1)]
    macs: Annotated[int, Field(ge=1)]
    flops: int
    params: Annotated[int, Field(ge=1)]
    commit: str


@final
@dataclass(frozen=True)
class LatencyFacts:
    """How latency was measured."""

    rounds: Sizes
    threads: int
    device: str
    note: str


def _complete(rows: list[RowResult]) -> list[RowResult]:
    if not {"base", "winner, retrained"} <= {row.model for row in rows}:
        raise ValueError("rows of the base and of the retrained winner")
    return rows


@final
@dataclass(frozen=True)
class RetrainResult:
    """The stage `retrain`."""

    trainings: dict[str, TrainingResult]
    rows: Annotated[list[RowResult], AfterValidator(_complete)]
    latency: LatencyFacts
    twins: bool
    seconds: float


@final
@dataclass(frozen=True)
class ReportResult:
    """The stage `report`."""

    files: list[str]
    seconds: float


STAGES: Mapping[str, type[Any]] = {
    "prepare": PrepareResult,
    "base": BaseResult,
    "supernet": SupernetResult,
    "explore": ExploreResult,
    "extract": ExtractResult,
    "retrain": RetrainResult,
    "report": ReportResult,
}
"""Stages in their order, and what each leaves in its result.json; more keys are allowed."""
Selection = dict[str, list[int]]
"""selection.json in the folders `supernet` and `explore`."""


def damage(kind: Any, content: bytes | str) -> str | None:
    """What is wrong with JSON that should hold a `kind`, in a few words; None when nothing is."""
    try:
        _adapter(kind).validate_json(content, strict=True)
    except ValidationError as error:
        return said(error)
    return None


def said(error: ValidationError) -> str:
    """The first fault of damaged data, in a few words."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"not JSON ({first['ctx']['error']})"
    key = ".".join(map(str, first["loc"]))
    return f"'{key}' is missing or wrong" if key else "no mapping of the keys that belong there"


@lru_cache(maxsize=64)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
