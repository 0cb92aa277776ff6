"""Figures of the report that stand on their own: tokens over images, runs over their size, the front."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from nas import quantities
from nas.search import Objective
from nas.studies.report.comparison import comparison
from nas.studies.report.confusion_plot import confusion
from nas.studies.report.findings import Findings
from nas.studies.report.plots import Plane, front, progress, svg
from nas.studies.report.tokens import faded, tokens
from nas.tasks.classification import ACCURACY, LOSS


def test_what_is_not_computed_fades() -> None:
    """A grid of 2 x 3 patches and a class token on a black picture; patches 0 and 4 are computed."""
    picture = np.zeros((4, 6, 1), np.uint8)
    found = faded(picture, [0, 1, 5], 7, (2, 3))
    assert found.shape == (4, 6, 3)
    assert found[:2, :2].max() == 0
    assert found[2:, 2:4].max() == 0
    assert found[:2, 2:].min() > 0.9
    assert found[2:, :2].min() > 0.9


def test_a_column_per_block_and_a_row_per_image() -> None:
    positions = {str(block): [0, 1] for block in range(14)}
    figure = tokens(positions, 7, (2, 3), np.zeros((2, 4, 6, 1), np.uint8))
    assert len(figure.axes) == 2 * 7, "every second of 14 blocks"
    assert len(tokens({"0": [0]}, 7, (2, 3), None).axes) == 1


def test_the_front_of_all_runs_holds_what_nobody_beats() -> None:
    rows = [("a", "base", 4, 0.9), ("a", "winner, retrained", 2, 0.8), ("b", "winner, retrained", 3, 0.7),
            ("b", "winner", 1, 0.99), ("b", "uniform, retrained", 1, 0.6)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["study", "model", "macs", "test_accuracy"]).assign(strategy="x")
    (line,) = comparison(frame, ACCURACY).axes[0].lines
    assert list(np.asarray(line.get_xdata(), float) * 1e6) == [1, 2, 4], "models before retraining do not count"


def test_what_is_not_a_number_is_on_no_front() -> None:
    rows = [("a", "base", 4, 0.9), ("a", "winner, retrained", 2, np.nan), ("b", "winner, retrained", 3, 0.7)]
    frame = pd.DataFrame(rows, columns=["study", "model", "macs", "test_accuracy"]).assign(strategy="x")
    (line,) = comparison(frame, ACCURACY).axes[0].lines
    assert list(np.asarray(line.get_xdata(), float) * 1e6) == [3, 4]
    assert not np.isnan(np.asarray(line.get_ydata(), float)).any()
    (line,) = comparison(frame.assign(test_accuracy=np.nan), ACCURACY).axes[0].lines
    assert len(line.get_xdata()) == 0


def test_a_dollar_in_the_name_of_a_class_begins_no_formula() -> None:
    counts = [[3, 0], [1, 2]]
    assert svg(confusion(["$x^{$", "b"], {"base": counts})).startswith("<svg")
    frame = pd.DataFrame({"state": ["done"], "strategy": ["a"], "digest": ["a"], "params": [2e6], "loss": [0.5]})
    plane = Plane(LOSS, quantities.find("params"))
    figure = front(frame, frame, plane, strategy="a", marks={}, most=3e6)
    svg(figure)
    (axis,) = figure.axes
    assert all(label.get_parse_math() for label in axis.get_xticklabels()), "numbers stay what Matplotlib makes of them"


def study_of(objectives: dict[str, str], bounds: dict[str, tuple[float, float]]) -> Findings:
    """Findings of a run that wants and bounds this, and has nothing else."""
    wanted = tuple(Objective(name, way == "max") for name, way in objectives.items())
    return Findings(SimpleNamespace(objectives=wanted, bounds=bounds))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("objectives", "bounds", "cost"),
    [
        ({"accuracy": "max"}, {}, "macs"),
        ({"accuracy": "max"}, {"params": (0, 9)}, "params"),
        ({"accuracy": "max"}, {"params": (0, 9), "macs": (0, 9)}, "macs"),
        ({"accuracy": "max", "params": "min"}, {"macs": (0, 9)}, "params"),
        ({"accuracy": "max", "flops": "min"}, {}, "macs"),
        ({"accuracy": "max", "loss": "min"}, {}, "macs"),
        ({"macs": "min"}, {"macs": (0, 9)}, "params"),
    ],
)
def test_the_front_is_drawn_over_the_cost_that_the_study_is_about(
    objectives: dict[str, str], bounds: dict[str, tuple[float, float]], cost: str
) -> None:
    assert study_of(objectives, bounds).drawn_cost.name == cost


def test_the_limit_is_a_line_in_the_units_of_its_axis() -> None:
    frame = pd.DataFrame({"state": ["done"], "strategy": ["uniform"], "digest": ["a"], "params": [2e6], "loss": [0.5]})
    plane = Plane(LOSS, quantities.find("params"))
    figure = front(frame, frame, plane, strategy="uniform", marks={}, most=3e6)
    (axis,) = figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("parameters (M)", "validation loss")
    assert [text.get_text() for text in axis.texts] == ["limit 3 M"]
    line = axis.lines[-1]
    assert list(np.asarray(line.get_xdata(), float)) == [3, 3]
    unbounded = front(frame, frame, plane, strategy="uniform", marks={}, most=np.inf)
    assert not unbounded.axes[0].texts


def test_a_strategy_with_a_single_trial_is_seen() -> None:
    frame = pd.DataFrame({"strategy": ["uniform", "uniform", "sidt"], "number": [0, 1, 0], "state": "done"})
    frame = frame.assign(feasible=True, accuracy=[0.5, 0.6, 0.7])
    figure = progress(frame, Objective("accuracy", maximise=True), ACCURACY, "sidt")
    assert [line.get_marker() for line in figure.axes[0].lines] == ["None", "o"]
