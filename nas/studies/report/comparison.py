"""Several runs in one plot: the test accuracy of what each found over its MACs, and the front of all."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nas.search.ranking import non_dominated_ranks
from nas.studies.report.plots import CURVES, INK, MUTED, axes_of, in_style

MARKERS = ("*", "D", "^", "P")
"""Of runs with the same colour: there are more runs than colours."""
FINAL = ", retrained"
"""End of the names of models that are final; the others are on their way."""


@in_style
def comparison(frame: pd.DataFrame) -> Figure:
    """`frame` as `compare` of `nas.studies.run.compare` makes it: a point per retrained model, one colour and shape per
    run, the
    front of all as a line. Test accuracies are for reading, not for choosing among runs.
    """
    figure, axes = axes_of(6.6, 4.2)
    axis = axes[0, 0]
    final = frame[frame["model"].str.endswith(FINAL)]
    for place, (study, rows) in enumerate(final.groupby("study", sort=False)):
        round_, colour = divmod(place, len(CURVES))
        for uniform, mine in rows.groupby(rows["model"].str.startswith("uniform")):
            strategies = ", ".join(mine["strategy"].dropna().unique())
            axis.scatter(mine["macs"] / 1e6, 100 * mine["test_accuracy"], s=26 if uniform else 60,
                         color=CURVES[colour], marker="o" if uniform else MARKERS[round_ % len(MARKERS)],
                         alpha=0.6 if uniform else 1, zorder=3,
                         label=study if strategies == study else f"{study}: {strategies}")  # fmt: skip
    base = frame[frame["model"] == "base"].drop_duplicates(["macs", "test_accuracy"])
    axis.scatter(base["macs"] / 1e6, 100 * base["test_accuracy"], s=40, color="white", edgecolors=INK, marker="s",
                 label="base", zorder=3)  # fmt: skip
    front = _front(pd.concat([final, base]))
    axis.plot(front["macs"] / 1e6, 100 * front["test_accuracy"], color=MUTED, linewidth=1, drawstyle="steps-post",
              label="front of all", zorder=2)  # fmt: skip
    axis.set_xlabel("MACs per image (M); FLOPs are twice that")
    axis.set_ylabel("test accuracy (%)")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def _front(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows that no other row dominates, fewest MACs first."""
    losses = np.stack([frame["macs"], -frame["test_accuracy"]], axis=1)
    front: pd.DataFrame = frame[non_dominated_ranks(losses) == 0]
    return front.sort_values("macs")
