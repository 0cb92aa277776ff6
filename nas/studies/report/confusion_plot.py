"""The report's plot of confusion: which classes each model takes for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure

from nas.studies.report.plots import BLUE, INK, axes_of, in_style

SHARES: Colormap = LinearSegmentedColormap.from_list("shares", ["white", "#bcd3ee", BLUE])
COUNTED = 12
"""Classes up to which there is room for numbers."""
LONGEST = 14
"""Characters of a class's name that are shown."""


@in_style
def confusion(classes: Sequence[str], models: Mapping[str, Sequence[Sequence[int]]]) -> Figure:
    """A panel per model: images of each class (rows) that it took for each class (columns); coloured by the share of
    the row.
    """
    counts = {model: np.asarray(matrix) for model, matrix in models.items()}
    side = min(0.4 * len(classes), 3.0) + 0.9
    figure, axes = axes_of(min(side * len(counts) + 0.4, 6.8), side, 1, len(counts), sharey=True)
    names = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in classes]
    turned = 90 if max(map(len, names)) > 2 else 0
    for axis, (model, matrix) in zip(axes[0], counts.items(), strict=True):
        shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
        axis.imshow(shares, cmap=SHARES, vmin=0, vmax=1, interpolation="nearest")
        axis.set_xticks(range(len(names)), names, rotation=turned, fontsize=7)
        axis.set_yticks(range(len(names)), names, fontsize=7)
        axis.tick_params(length=0)
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)
        axis.set_title(model, fontsize=9, loc="left")
        axis.set_xlabel("taken for")
        if len(classes) <= COUNTED:
            _numbers(axis, matrix, shares)
    axes[0, 0].set_ylabel("class")
    return figure


def _numbers(axis: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    for row, column in np.argwhere(counts):
        colour = "white" if shares[row, column] > 0.6 else INK
        text = str(counts[row, column])
        axis.text(column, row, text, ha="center", va="center", fontsize=6.5 if len(text) < 4 else 5, color=colour)
