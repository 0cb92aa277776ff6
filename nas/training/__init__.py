"""Training: data and its splits, one loop, the losses and rules that it minimises, and evaluation."""

from nas.training.data import Data, DataSpec, Facts, Split, inspect_data, load_data
from nas.training.evaluate import Evaluation, Evaluator, Measure, Watch, accuracy
from nas.training.fit import Session, fit
from nas.training.history import Epoch, History
from nas.training.losses import adjoined_loss, cross_entropy, distillation_loss, divergence, ramp
from nas.training.recipe import Recipe
from nas.training.retraining import AdjoinedStep, DistilledStep, PlainStep, RetrainLoss
from nas.training.step import Step, StepContext
from nas.training.workplace import Workplace

__all__ = [
    "AdjoinedStep",
    "Data",
    "DataSpec",
    "DistilledStep",
    "Epoch",
    "Evaluation",
    "Evaluator",
    "Facts",
    "History",
    "Measure",
    "PlainStep",
    "Recipe",
    "RetrainLoss",
    "Session",
    "Split",
    "Step",
    "StepContext",
    "Watch",
    "Workplace",
    "accuracy",
    "adjoined_loss",
    "cross_entropy",
    "distillation_loss",
    "divergence",
    "fit",
    "inspect_data",
    "load_data",
    "ramp",
]
