"""How long a first study trains, and by which batches: short where there is little to learn from, and what fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.studies.drafting.survey import DataSurvey
from nas.studies.forecast.memory import Footprint

SHARE = 0.5
"""Of the memory that there is, what a training may take: others want some, too, and estimates are estimates."""
LARGE_SET, SMALL_SIDE = 50_000, 64
"""Pictures from which on a model that starts afresh is trained as DeiT was; pixels below which nothing is cut out."""


@final
@dataclass(frozen=True)
class TrainingPlan:
    """Epochs of the three trainings, their rates, and how pictures are varied."""

    base: int
    supernet: int
    retrain: int
    lr: float
    augment: str
    trials: int
    reason: str


def training_plan(survey: DataSurvey, *, pretrained: bool) -> TrainingPlan:
    """For so many pictures: with few of them, more epochs, and never so many that the first study takes for ever."""
    count = survey.pictures
    if pretrained:
        seen, ends, lr = (30_000, 120_000, 60_000), ((3, 20), (5, 30), (3, 20)), 2e-4
        reason = "the weights have seen pictures before: short, and at a low rate"
    else:
        seen, ends, lr = (600_000, 300_000, 200_000), ((20, 100), (10, 60), (10, 40)), 1e-3
        reason = "from fresh weights: longer, and still short for a model of this kind"
    base, supernet, retrain = (
        min(most, max(least, round(images / count))) for images, (least, most) in zip(seen, ends, strict=True)
    )
    return TrainingPlan(base, supernet, retrain, lr, _augment(survey, pretrained=pretrained), 200, reason)


def _augment(survey: DataSurvey, *, pretrained: bool) -> str:
    if survey.facts.channels == 1 or survey.sides[len(survey.sides) // 2] < SMALL_SIDE:
        return "crop"
    return "deit" if not pretrained and survey.pictures >= LARGE_SET else "light"


def batch_of(footprint: Footprint, pictures: int, memory: int, *, gpu: bool) -> int:
    """The largest power of two that fits into a share of the memory, and leaves some steps in an epoch."""
    batch = 256 if gpu else 64
    while batch > 4 and (batch > pictures / 8 or footprint.training(batch, 2) > SHARE * memory):
        batch //= 2
    return batch


def eval_batch_of(footprint: Footprint, memory: int, usual: int) -> int:
    """The usual one, or what fits."""
    batch = usual
    while batch > 8 and footprint.measuring(batch) > SHARE * memory:
        batch //= 2
    return batch


def validation_of(survey: DataSurvey) -> float:
    """The share of the training pictures for the search: more where classes are so small that one would be missing."""
    rest = min(survey.per_class) * (1.0 if "test" in survey.counts else 0.8)
    return next((share for share in (0.15, 0.2, 0.3) if share * rest >= 1.5), 0.4)
