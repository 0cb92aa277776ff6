"""Training: one loop, and the losses and rules that it minimises."""

from nas.training.fit import Runtime, fit
from nas.training.fit_call import FitCall
from nas.training.history import Epoch, History
from nas.training.losses import adjoined_loss, distillation_loss, ramp
from nas.training.objectives.single import AdjoinedStep, DistilledStep, PlainStep, RetrainLoss
from nas.training.recipe import Recipe
from nas.training.step import Step, StepContext
from nas.training.trainer import Trainer
from nas.training.workplace import Workplace

__all__ = [
    "AdjoinedStep",
    "DistilledStep",
    "Epoch",
    "FitCall",
    "History",
    "PlainStep",
    "Recipe",
    "RetrainLoss",
    "Runtime",
    "Step",
    "StepContext",
    "Trainer",
    "Workplace",
    "adjoined_loss",
    "distillation_loss",
    "fit",
    "ramp",
]
