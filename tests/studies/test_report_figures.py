"""Figures of the report that stand on their own: tokens over images, runs over MACs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nas.studies.report.comparison import comparison
from nas.studies.report.tokens import faded, tokens


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
    (line,) = comparison(frame).axes[0].lines
    assert list(np.asarray(line.get_xdata(), float) * 1e6) == [1, 2, 4], "models before retraining do not count"
