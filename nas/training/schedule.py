"""`schedule:` of a recipe: the learning rate as a function of the optimiser step, by timm's schedulers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, final

import torch
from timm.scheduler import create_scheduler_v2  # type: ignore[attr-defined]  # timm re-exports without __all__

from nas.documents.markers import Plugged
from nas.documents.plugged import plugin_of
from nas.errors import TrainingError, nearest
from nas.numbers import Epochs, Positive, Unit, number

if TYPE_CHECKING:
    from nas.training.recipe import Recipe

Floor = Annotated[float, number(0, 1000)]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What all schedules know; the names are those of timm's `create_scheduler_v2`.

    warmup_lr       rate of the first step; by default one step of a line that begins at 0 before it
    warmup_prefix   whether the schedule begins where warm-up ends; else it begins with the training, and warm-up takes
                    the place of its first part (timm's default, and DeiT's)
    """

    warmup_lr: Floor | None = None
    warmup_prefix: bool = True

    name: ClassVar[str]
    """timm's."""


@dataclass(frozen=True, kw_only=True)
class Falling(Schedule):
    """Schedules that end at a floor.

    min_lr            the floor
    cooldown_epochs   last epochs of the training, all of them at the floor
    """

    min_lr: Floor = 0.0
    cooldown_epochs: Epochs = 0.0


@final
@dataclass(frozen=True, kw_only=True)
class Cosine(Falling):
    """Half a cosine (arXiv 1608.03983). `k_decay` bends it (arXiv 2004.05909)."""

    k_decay: Positive = 1.0
    name: ClassVar[str] = "cosine"


@final
@dataclass(frozen=True, kw_only=True)
class Tanh(Falling):
    """A hyperbolic tangent (arXiv 1806.01593)."""

    name: ClassVar[str] = "tanh"


@final
@dataclass(frozen=True, kw_only=True)
class Poly(Falling):
    """(1 - t) to the power `decay_rate`; 1 is a straight line. `k_decay` bends it (arXiv 2004.05909)."""

    decay_rate: Positive = 0.5
    k_decay: Positive = 1.0
    name: ClassVar[str] = "poly"


@final
@dataclass(frozen=True, kw_only=True)
class StepDecay(Schedule):
    """Times `decay_rate` after every `decay_epochs`."""

    decay_epochs: Annotated[float, number(1e-6, 1e6), Unit("epochs")] = 90.0
    decay_rate: Positive = 0.1
    name: ClassVar[str] = "step"


@final
@dataclass(frozen=True, kw_only=True)
class MultiStepDecay(Schedule):
    """Times `decay_rate` at each of `decay_milestones`, in epochs."""

    decay_milestones: tuple[Epochs, ...] = (90.0, 180.0, 270.0)
    decay_rate: Positive = 0.1
    name: ClassVar[str] = "multistep"


@final
@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """The same rate after warm-up."""

    name: ClassVar[str] = "constant"


SCHEDULES: Mapping[str, type[Schedule]] = {
    kind.name: kind for kind in (Constant, Cosine, MultiStepDecay, Poly, StepDecay, Tanh)
}


def names() -> list[str]:
    """Names of all schedules."""
    return list(SCHEDULES)


def find(name: str) -> type[Schedule]:
    """The options of a schedule, a frozen dataclass. Raises `TrainingError` for a name that there is not."""
    if name not in SCHEDULES:
        raise TrainingError(f"no schedule '{name}'; allowed: {', '.join(SCHEDULES)}{nearest(name, names())}")
    return SCHEDULES[name]


SCHEDULE = Plugged("schedule", names, find)


@final
class LearningRate:
    """The rate of optimiser step n, counted from 0, of a training of so many steps per epoch. It has no memory: a
    training that was interrupted goes on with the same rates.
    """

    def __init__(self, recipe: Recipe, steps_per_epoch: int) -> None:
        schedule, total = plugin_of(recipe.schedule, SCHEDULE), recipe.epochs * steps_per_epoch
        # A run shorter than its warm-up would never reach its peak: then half of it is warm-up.
        self._warmup = round(min(recipe.warmup, recipe.epochs / 2) * steps_per_epoch)
        self._peak, self._line = recipe.peak_lr, schedule.warmup_lr is None
        options = {key: value for key, value in asdict(schedule).items() if value is not None}
        # timm counts epochs, or multiplies them by the steps of one; here, all lengths are steps.
        for key in ("cooldown_epochs", "decay_epochs"):
            if key in options:
                options[key] = options[key] * steps_per_epoch
        if isinstance(schedule, MultiStepDecay):
            options["decay_milestones"] = [epoch * steps_per_epoch for epoch in sorted(schedule.decay_milestones)]
        cooldown = round(options.pop("cooldown_epochs", 0))
        before = self._warmup if schedule.warmup_prefix else 0
        # timm's schedulers write the rate into an optimiser: this one is only written to.
        holder = torch.optim.SGD([torch.zeros(1)], lr=self._peak)
        self._scheduler, _ = create_scheduler_v2(
            holder,
            sched=schedule.name,
            num_epochs=max(1, total - cooldown - before),
            warmup_epochs=self._warmup,
            step_on_epochs=False,
            updates_per_epoch=1,
            **options,
        )
        self._group = holder.param_groups[0]

    def __call__(self, step: int) -> float:
        """The rate of a step; that of a group of parameters may be a share of it."""
        if self._line and step < self._warmup:
            return self._peak * (step + 1) / (self._warmup + 1)
        self._scheduler.step_update(step)
        rate: float = self._group["lr"]
        return rate
