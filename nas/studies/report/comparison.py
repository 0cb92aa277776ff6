"""Several runs in one plot: how their models did on the test split, over their size, and the front of all."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas import quantities
from nas.quantities import Quantity
from nas.search.ranking import non_dominated_ranks
from nas.studies.report.plots import CURVES, INK, MUTED, axes_of, in_style
from nas.studies.run.rows import BASE_MODEL, RETRAINED

MARKERS = ("*", "D", "^", "P")
"""Of runs with the same colour: there are more runs than colours."""


@in_style
def comparison(frame: pd.DataFrame, metric: Quantity) -> Figure:
    """`frame` as `nas.studies.run.compare.compare` makes it, drawn by the `metric` on the test split: a point per
    retrained model, one colour and shape per run, the front of all as a line. What was tested is for reading, not for
    choosing among runs.
    """
    figure, axes = axes_of(6.6, 4.2)
    axis: Axes = axes[0, 0]
    size = quantities.find(quantities.SIZE)
    tested = f"test_{metric.name}"

    def points(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
        return rows[size.name] * size.axis_scale, rows[tested] * metric.axis_scale

    final = frame[frame["model"].str.endswith(RETRAINED)]
    for number, (study, rows) in enumerate(final.groupby("study", sort=False)):
        round_, colour = divmod(number, len(CURVES))
        for uniform, own in rows.groupby(rows["model"].str.startswith("uniform")):
            strategies = ", ".join(own["strategy"].dropna().unique())
            axis.scatter(*points(own), s=26 if uniform else 60, color=CURVES[colour],
                         marker="o" if uniform else MARKERS[round_ % len(MARKERS)], alpha=0.6 if uniform else 1,
                         zorder=3, label=study if strategies == study else f"{study}: {strategies}")  # fmt: skip
    base = frame[frame["model"] == BASE_MODEL].drop_duplicates([size.name, tested])
    axis.scatter(*points(base), s=40, color="white", edgecolors=INK, marker="s", label="base", zorder=3)
    front = _front(pd.concat([final, base]), size.name, tested, maximise=metric.maximise)
    axis.plot(*points(front), color=MUTED, linewidth=1, drawstyle="steps-post", label="front of all", zorder=2)
    axis.set_xlabel(size.axis_label)
    axis.set_ylabel(f"test {metric.axis_label}")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def _front(frame: pd.DataFrame, cost: str, tested: str, *, maximise: bool) -> pd.DataFrame:
    """Rows that no other row dominates, cheapest first; none that lacks one of the two numbers."""
    frame = frame.dropna(subset=[cost, tested])  # nothing compares with what is not a number
    to_minimise = np.stack([frame[cost], -frame[tested] if maximise else frame[tested]], axis=1)
    front: pd.DataFrame = frame[non_dominated_ranks(to_minimise) == 0]
    return front.sort_values(cost)
