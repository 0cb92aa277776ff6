"""How long a first study trains, and by which batches: short where there is little to learn from, and what fits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from nas.errors import LimitError
from nas.studies.drafting.survey import DataSurvey
from nas.studies.forecast.memory import Footprint

SHARE = 0.5
"""Of the memory that there is, what a training may take: others want some, too, and estimates are estimates."""
LARGE_SET, SMALL_SIDE = 50_000, 64
"""Pictures from which on a model that starts afresh is trained as DeiT was; pixels below which nothing is cut out."""
FEWEST_TRIALS = 20
"""Of a study that is shortened."""
TURNED = "{use: annotated, hflip: 0.5, brightness: 0.2, contrast: 0.2}"
"""How annotated pictures are varied."""


@final
@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Epochs of the three trainings, their rates, the largest batch, how pictures are varied, the loss by which the
    winner learns, and whether finalists compete for that.
    """

    base: int
    supernet: int
    retrain: int
    lr: float
    batch: int
    augment: str
    about_augment: str
    trials: int
    reason: str
    loss: str
    compete: bool = True


def training_plan(survey: DataSurvey, *, pretrained: bool, gpu: bool) -> TrainingPlan:
    """For so many pictures: with few of them, more epochs, and never so many that the first study takes for ever."""
    if pretrained:
        reason = "the weights have seen pictures before: short, and at a low rate"
    else:
        reason = "from fresh weights: longer, and still short for a model of this kind"
    if survey.objects is not None:
        base, supernet, retrain = _epochs(survey.pictures, (5_000, 2_500, 2_500), ((6, 24), (4, 12), (4, 12)))
        return TrainingPlan(
            base=base,
            supernet=supernet,
            retrain=retrain,
            lr=2e-4 if pretrained else 1e-3,
            batch=16 if gpu else 8,
            augment=TURNED,
            about_augment="boxes move with their pictures",
            trials=50,
            reason=reason,
            loss="plain",
        )
    if pretrained:
        seen, ends, lr = (30_000, 120_000, 60_000), ((3, 20), (5, 30), (3, 20)), 2e-4
    else:
        seen, ends, lr = (600_000, 300_000, 200_000), ((20, 100), (10, 60), (10, 40)), 1e-3
    base, supernet, retrain = _epochs(survey.pictures, seen, ends)
    return TrainingPlan(
        base=base,
        supernet=supernet,
        retrain=retrain,
        lr=lr,
        batch=256 if gpu else 64,
        augment=_augment(survey, pretrained=pretrained),
        about_augment="light: part of a picture, mirrored or not; crop: only shifted",
        trials=200,
        reason=reason,
        loss="adjoined",
    )


def seconds_in(text: str) -> float:
    """Of a text such as "90s", "30min" or "2h". Raises `LimitError` for what is no time."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h)", text.strip())
    if found is None or not float(found[1]):
        raise LimitError(f"--within: found '{text}'; allowed: a time such as 90s, 30min or 2h")
    return float(found[1]) * {"s": 1, "min": 60, "h": 3600}[found[2]]


def shortened(plan: TrainingPlan, share: float) -> TrainingPlan:
    """With about this share of its epochs and trials, and without finalists, who are all trained."""
    base, supernet, retrain = (max(1, int(share * epochs)) for epochs in (plan.base, plan.supernet, plan.retrain))
    reason = f"{plan.reason}; here {share:.0%} of that, to be done in time"
    trials = max(FEWEST_TRIALS, int(share * plan.trials))
    return replace(plan, base=base, supernet=supernet, retrain=retrain, trials=trials, reason=reason, compete=False)


def _epochs(count: int, seen: Sequence[int], ends: Sequence[tuple[int, int]]) -> list[int]:
    """So many that about as many pictures are `seen`, between these ends."""
    return [min(most, max(least, round(images / count))) for images, (least, most) in zip(seen, ends, strict=True)]


def _augment(survey: DataSurvey, *, pretrained: bool) -> str:
    if survey.facts.channels == 1 or survey.side < SMALL_SIDE:
        return "crop"
    return "deit" if not pretrained and survey.pictures >= LARGE_SET else "light"


def batch_of(footprint: Footprint, pictures: int, memory: int, most: int) -> int:
    """The largest power of two up to `most` that fits into a share of the memory, and leaves some steps in an epoch."""
    batch = most
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
    if survey.objects is not None:
        return 0.2
    rest = min(survey.per_class) * (1.0 if "test" in survey.counts else 0.8)
    return next((share for share in (0.15, 0.2, 0.3) if share * rest >= 1.5), 0.4)
