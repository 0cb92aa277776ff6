"""The report's plot of rank truth: a metric after retraining over the same metric with shared weights."""

from __future__ import annotations

from collections import Counter

from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure

from nas import quantities
from nas.quantities import Quantity
from nas.studies.report.plots import BLUE, INK, MUTED, ORANGE, axes_of, in_style
from nas.studies.run.rank_truth import RankTruth

SIZES: Colormap = LinearSegmentedColormap.from_list("sizes", ["#d6e4f5", BLUE, "#0d2440"])
"""Smallest model to largest; light to dark, so that the order survives printing in grey."""


@in_style
def rank_plot(truth: RankTruth, metric: Quantity) -> Figure:
    """A point per architecture, coloured by its size; the first by shared weights and the best after retraining are
    marked, and a number says how many share a place. The title holds tau and its interval.
    """
    figure, axes = axes_of(6.6, 3.9)
    axis: Axes = axes[0, 0]
    size, table = quantities.find(quantities.SIZE), truth.table
    shared, retrained = (
        metric.axis_scale * table[f"{when}_{metric.name}"].to_numpy() for when in ("shared", "retrained")
    )
    points = axis.scatter(shared, retrained, c=table[size.name] * size.axis_scale, cmap=SIZES, s=34, edgecolors=INK,
                          linewidths=0.6, zorder=3)  # fmt: skip
    best = int(retrained.argmax() if metric.maximise else retrained.argmin())
    for row, colour, label, area in ((0, ORANGE, "first by shared weights", 110), (best, MUTED, "best retrained", 190)):
        axis.scatter(shared[row], retrained[row], s=area, facecolors="none", edgecolors=colour, linewidths=1.4,
                     label=label, zorder=4)  # fmt: skip
    for point, count in Counter(zip(shared, retrained, strict=True)).items():
        if count > 1:
            axis.annotate(f"{count}", point, xytext=(9, 3), textcoords="offset points", fontsize=8)
    value, low, high = truth.value("tau")
    axis.set_title(f"Kendall's tau-b {value:.2f} ({low:.2f} to {high:.2f})", fontsize=9.5, loc="left")
    unit = f" ({metric.axis_unit})" if metric.axis_unit else ""
    axis.set_xlabel(f"validation {metric.title}, shared weights{unit}")
    axis.set_ylabel(f"validation {metric.title}, retrained{unit}")
    bar = figure.colorbar(points, ax=axis, shrink=0.8, aspect=24, pad=0.02)
    bar.set_label(size.axis_label, color=INK)
    bar.outline.set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    return figure
