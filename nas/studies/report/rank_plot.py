"""The report's plot of rank truth: accuracy after retraining over accuracy with shared weights."""

from __future__ import annotations

from collections import Counter

from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure

from nas.studies.report.plots import BLUE, INK, MUTED, ORANGE, axes_of, in_style
from nas.studies.run.rank_truth import RankTruth

SIZES: Colormap = LinearSegmentedColormap.from_list("sizes", ["#d6e4f5", BLUE, "#0d2440"])
"""Fewest MACs to most; light to dark, so that the order survives printing in grey."""


@in_style
def rank_plot(truth: RankTruth) -> Figure:
    """A point per architecture, coloured by its MACs; the first by shared weights and the best after retraining are
    marked, and a number says how many share a place. The title holds tau and its interval.
    """
    figure, axes = axes_of(6.6, 3.9)
    axis: Axes = axes[0, 0]
    table = truth.table
    shared, retrained = (100 * table[f"{when}_accuracy"].to_numpy() for when in ("shared", "retrained"))
    points = axis.scatter(shared, retrained, c=table["macs"] / 1e6, cmap=SIZES, s=34, edgecolors=INK, linewidths=0.6,
                          zorder=3)  # fmt: skip
    best = int(retrained.argmax())
    for row, colour, label, size in ((0, ORANGE, "first by shared weights", 110), (best, MUTED, "best retrained", 190)):
        axis.scatter(shared[row], retrained[row], s=size, facecolors="none", edgecolors=colour, linewidths=1.4,
                     label=label, zorder=4)  # fmt: skip
    for place, count in Counter(zip(shared, retrained, strict=True)).items():
        if count > 1:
            axis.annotate(f"{count}", place, xytext=(9, 3), textcoords="offset points", fontsize=8)
    value, low, high = truth.value("tau")
    axis.set_title(f"Kendall's tau-b {value:.2f} ({low:.2f} to {high:.2f})", fontsize=9.5, loc="left")
    axis.set_xlabel("validation accuracy, shared weights (%)")
    axis.set_ylabel("validation accuracy, retrained (%)")
    bar = figure.colorbar(points, ax=axis, shrink=0.8, aspect=24, pad=0.02)
    bar.set_label("MACs per image (M); FLOPs are twice that", color=INK)
    bar.outline.set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    return figure
