"""Metrics of finished classifiers: by hand, and against scikit-learn on whole predictions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, top_k_accuracy_score
from torch import Tensor

from nas.tasks import Confusing
from nas.tasks._class_metrics import calibration_error
from nas.tasks.classification import Classification

TASK = Classification()


def predictions(classes: int, n: int = 60) -> tuple[Tensor, Tensor]:
    """Logits that are right more often than not, and classes, of which the last one never occurs."""
    generator = torch.Generator().manual_seed(classes)
    labels = torch.randint(classes - 1, (n,), generator=generator)
    logits = torch.randn(n, classes, generator=generator)
    logits[torch.arange(n), labels] += 1.5
    return logits, labels


def names(classes: int) -> list[str]:
    return [metric.name for metric in TASK.detailed_metrics(classes)]


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_metrics_are_scikit_learns_on_all_batches() -> None:
    logits, labels = predictions(12)
    tally = TASK.detailed_tally(12)
    for start in range(0, 60, 16):
        tally = tally.after(logits[start : start + 16], labels[start : start + 16])
    named = logits.argmax(1)
    metrics = tally.metrics
    assert tally.n == 60
    assert metrics["top5"] == pytest.approx(top_k_accuracy_score(labels, logits, k=5, labels=np.arange(12)))
    assert metrics["class_accuracy"] == pytest.approx(balanced_accuracy_score(labels, named))
    assert metrics["accuracy"] < metrics["top5"] < 1
    assert isinstance(tally, Confusing)
    assert np.array_equal(tally.confusion, confusion_matrix(labels, named, labels=np.arange(12)))  # type: ignore[arg-type]


def test_top5_and_confusion_only_where_they_say_something() -> None:
    """Among five classes all are among the best five; a matrix of 21 classes is no longer read."""
    assert names(5) == ["accuracy", "loss", "class_accuracy", "calibration_error"]
    assert names(6) == ["accuracy", "loss", "top5", "class_accuracy", "calibration_error"]
    tally = TASK.detailed_tally(21).after(*predictions(21))
    assert isinstance(tally, Confusing)
    assert tally.confusion is None
    assert list(tally.metrics) == names(21)
    assert [metric.name for metric in TASK.metrics] == ["accuracy", "loss"]


def test_a_class_counts_as_much_as_another() -> None:
    """Three of the first class, all right; one of the second, wrong."""
    logits = torch.eye(3)[[0, 0, 0, 2]]
    tally = TASK.detailed_tally(3).after(logits, torch.tensor([0, 0, 0, 1]))
    assert (tally.metrics["accuracy"], tally.metrics["class_accuracy"]) == (0.75, 0.5)


def test_calibration_error_by_hand() -> None:
    """Four predictions in two of 15 bins: 0.65 and 0.66 share one, 0.95 and 1 another."""
    probabilities, right = np.array([0.65, 0.66, 0.95, 1.0]), np.array([True, False, True, True])
    by_hand = 0.5 * abs(0.5 - 0.655) + 0.5 * abs(1 - 0.975)
    assert calibration_error(probabilities, right) == pytest.approx(by_hand)
    assert calibration_error(np.ones(3), np.ones(3, bool)) == 0


def test_edges_of_bins_belong_to_the_bin_below() -> None:
    """0.6 is 9/15: with 0.61 it would cancel out in one bin, and must not."""
    error = calibration_error(np.array([0.6, 0.61]), np.array([True, False]))
    assert error == pytest.approx((0.4 + 0.61) / 2)
