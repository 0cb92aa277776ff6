"""Evaluation: the metrics of models and of sub-networks on a split, and how long models take."""

from nas.evaluation.evaluate import Evaluation, Evaluator, Measure, Watch, accuracy

__all__ = ["Evaluation", "Evaluator", "Measure", "Watch", "accuracy"]
