"""Rows of tables. In files and in frames they are flat, one column per number; here each kind of number has a mapping.

Both ways between the two are in this module, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Self, final

from pydantic import AfterValidator, Field, JsonValue, model_serializer, model_validator

from nas import quantities

BASE_MODEL, WINNER, UNIFORM = "base", "winner", "uniform"
"""Models of the results table: the whole one, what the study's strategy chose, and what the uniform baseline chose."""
RETRAINED = ", retrained"
"""Behind the name of a model that was retrained."""

StoredInt = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""What databases, frames and other readers of JSON can hold."""
StoredFloat = Annotated[float, Field(allow_inf_nan=False)]
StoredCount = Annotated[StoredInt, Field(ge=0)]
Numbers = dict[str, StoredFloat]
Sizes = dict[str, StoredCount]
ChosenValues = dict[str, StoredInt | StoredFloat]


def _sized(costs: Sizes) -> Sizes:
    """Reports divide by the size; any other cost may be of a quantity that came later."""
    if costs.get(quantities.SIZE, 0) < 1:
        raise ValueError("the size of a model")
    return costs


Costs = Annotated[Sizes, AfterValidator(_sized)]
"""Quantity -> how much of it a model has: the counted ones, in tables their multiples too."""
Metrics = Annotated[Numbers, Field(min_length=1)]
"""Metric of the task -> its value."""


@final
@dataclass(frozen=True, kw_only=True)
class RowResult:
    """One model of the results table.

    model         base, winner, uniform; the two with ", retrained" behind it after retraining
    strategy      that found it, digest of its architecture; both empty for the base
    validation    the task's first metric, on the search-validation split
    test          all metrics, on the test split of `test_images` images
    costs         counted quantities and their multiples
    latency       batch size -> median milliseconds; empty where it was not timed
    """

    study: str
    model: str
    strategy: str
    seed: int
    digest: str
    validation: Metrics
    test: Metrics
    test_images: Annotated[int, Field(ge=1)]
    costs: Costs
    latency: Numbers
    commit: str

    @model_serializer
    def flat(self) -> dict[str, JsonValue]:
        """The row as files and frames have it: test_accuracy, macs, latency_ms_batch_64 ..."""
        return {
            "study": self.study,
            "model": self.model,
            "strategy": self.strategy,
            "seed": self.seed,
            "digest": self.digest,
            **_prefixed("validation_", self.validation),
            **_prefixed("test_", self.test),
            "test_images": self.test_images,
            **self.costs,
            **_prefixed("latency_ms_batch_", self.latency),
            "commit": self.commit,
        }

    @model_validator(mode="before")
    @classmethod
    def _folded(cls, row: object) -> object:
        if not isinstance(row, dict):  # damaged: said by the validation that follows
            return row
        test = _under("test_", row)
        test.pop("images", None)  # how many there are, no metric on them
        mappings = {"validation": _under("validation_", row), "test": test, "latency": _under("latency_ms_batch_", row)}
        return {**row, **mappings, "costs": _costs(row)}


@final
@dataclass(frozen=True, kw_only=True)
class ExtractedResult:
    """One extracted model.

    kept, full    axis -> its size in this model, and in the whole one
    validation    metrics of the model as it was read back
    difference    greatest one between its outputs and those of the supernet, on `images` images
    slices_only   whether that must be 0: its weights are slices, and none are factors of a matrix
    same_objects  whether both find the same objects, to the last bit; None where a model finds none
    """

    digest: str
    architecture: ChosenValues
    costs: Costs
    kept: Sizes
    full: dict[str, Annotated[StoredCount, Field(ge=1)]]
    validation: Metrics
    difference: StoredFloat
    images: int
    slices_only: bool
    same_objects: bool | None = None

    @model_serializer
    def flat(self) -> dict[str, JsonValue]:
        """As in the file: a key per cost."""
        return {
            "digest": self.digest,
            "architecture": {**self.architecture},
            **self.costs,
            "kept": {**self.kept},
            "full": {**self.full},
            "validation": {**self.validation},
            "difference": self.difference,
            "images": self.images,
            "slices_only": self.slices_only,
            **({} if self.same_objects is None else {"same_objects": self.same_objects}),
        }

    @model_validator(mode="before")
    @classmethod
    def _folded(cls, row: object) -> object:
        return {**row, "costs": _costs(row)} if isinstance(row, dict) else row

    @model_validator(mode="after")
    def _comparable(self) -> Self:
        if self.kept.keys() != self.full.keys():
            raise ValueError("the whole sizes of the axes that are kept")
        return self


@final
@dataclass(frozen=True, kw_only=True)
class RankedRow:
    """One architecture that is ranked twice: by its metrics with `shared` weights, and `retrained`. `band` is that of
    its size, smallest first; `scores` are those of proxies, as far as they are defined.
    """

    digest: str
    band: int
    costs: Costs
    shared: Metrics
    retrained: Metrics
    scores: Numbers = field(default_factory=dict)

    @model_serializer
    def flat(self) -> dict[str, JsonValue]:
        """The row as files and frames have it: macs, shared_accuracy, retrained_accuracy ..."""
        return {
            "digest": self.digest,
            "band": self.band,
            **self.costs,
            **_prefixed("shared_", self.shared),
            **_prefixed("retrained_", self.retrained),
            **_prefixed("score_", self.scores),
        }

    @model_validator(mode="before")
    @classmethod
    def _folded(cls, row: object) -> object:
        if not isinstance(row, dict):
            return row
        mappings = {name: _under(f"{prefix}_", row) for name, prefix in _RANKED.items()}
        return {**row, **mappings, "costs": _costs(row)}


_RANKED = {"shared": "shared", "retrained": "retrained", "scores": "score"}
"""Mapping of a `RankedRow` -> what its columns begin with."""


def _prefixed(prefix: str, numbers: Numbers) -> Numbers:
    return {f"{prefix}{name}": value for name, value in numbers.items()}


def _under(prefix: str, row: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {key.removeprefix(prefix): value for key, value in row.items() if key.startswith(prefix)}


def _costs(row: dict[str, JsonValue]) -> dict[str, JsonValue]:
    # Costs have no prefix: their columns are told by the quantities that there are.
    names = [quantity.name for quantity in quantities.every_cost(row)]
    return {name: row[name] for name in names if name in row}
