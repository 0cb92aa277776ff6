"""Evaluation: the metrics of models and of sub-networks on a split."""

from nas.evaluation.evaluate import EVAL_BATCH, Evaluation, Watch, evaluate
from nas.evaluation.evaluator import Evaluator, Measure

__all__ = ["EVAL_BATCH", "Evaluation", "Evaluator", "Measure", "Watch", "evaluate"]
