"""The report's plots as SVG text: the front, the architecture, the search's progress, the training curves. One style,
no global state.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, ParamSpec, TypeVar, final

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis, Tick
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter, MaxNLocator, ScalarFormatter
from typing_extensions import override

from nas.quantities import Quantity
from nas.search import Objective
from nas.searchspaces.axis_names import DEPTH, axis_name, dimension, index, position
from nas.studies.run.frames import best_so_far
from nas.studies.run.results import EpochResult

INK, MUTED, FAINT = "#1f2933", "#7b8794", "#dfe3e8"
BLUE, ORANGE, GREEN, PURPLE = "#2563a8", "#d1661f", "#3d8361", "#7d5ba6"
CURVES = (INK, BLUE, ORANGE, GREEN, MUTED, PURPLE)

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "svg.hashsalt": "nas",
}
MANY, PIXELS = 5000, 150
"""From so many points on, they are a picture in the plot, with so many pixels an inch."""

P = ParamSpec("P")
R = TypeVar("R")


def in_style(draw: Callable[P, R]) -> Callable[P, R]:
    """A function that draws in the report's style. Matplotlib reads its settings when an artist is made: the style
    holds while the function draws, and only then.
    """

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context():
            mpl.rcdefaults()  # a matplotlibrc in the current folder, which may be anybody's, counts for nothing
            mpl.rcParams.update(STYLE)
            return draw(*args, **kwargs)

    return wrapped


@in_style
def svg(figure: Figure) -> str:
    """A figure as an <svg> element, the same text for the same figure; letters are outlines, so that it looks alike
    everywhere.
    """
    _literally(figure)
    buffer = io.StringIO()
    # `savefig` would draw twice, first to find the margins, which the layout knows.
    canvas: Any = FigureCanvasSVG(figure)
    canvas.print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _literally(figure: Figure) -> None:
    """Shows names as they are, at the axes too: a dollar begins no formula. Numbers there stay what Matplotlib makes of
    them.
    """
    numbers: list[Text] = []
    for axis in figure.findobj(Axis):
        axis.get_ticklabels(which="both")  # Matplotlib makes labels when they are asked for
        if isinstance(axis.get_major_formatter(), ScalarFormatter | LogFormatter):
            numbers += [label for tick in axis.findobj(Tick) for label in (tick.label1, tick.label2)]
    for text in figure.findobj(Text):
        if text not in numbers:
            text.set_parse_math(False)


def axes_of(width: float, height: float, rows: int = 1, columns: int = 1, **grid: Any) -> tuple[Figure, np.ndarray]:
    """A figure (inches) and its axes, rows x columns, in the report's style."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=PIXELS)
    axes = figure.subplots(rows, columns, squeeze=False, **grid)
    return figure, axes


@final
@dataclass(frozen=True)
class Plane:
    """The two axes of a front: a cost, and what is wanted for it."""

    objective: Quantity
    cost: Quantity

    def points(self, frame: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
        """The costs of rows, and their values of the objective, both in the units of their axes."""
        return tuple(frame[q.name] * q.axis_scale for q in (self.cost, self.objective))  # type: ignore[return-value]


@in_style
def front(
    trials: pd.DataFrame,
    pareto: pd.DataFrame,
    plane: Plane,
    *,
    strategy: str,
    marks: Mapping[str, tuple[str, str]],
    most: float,
) -> Figure:
    """The first objective over a cost: every trial, the uniform baseline's apart, the front as a line.

    `marks` maps a word such as "winner" to the strategy and the digest of a trial; `most` is the limit of the cost,
    infinite where there is none.
    """
    figure, axes = axes_of(6.6, 3.9)
    axis: Axes = axes[0, 0]
    done = trials[trials["state"] == "done"]
    for name, colour, label, order in (("uniform", MUTED, "uniform baseline", 2), (strategy, BLUE, strategy, 3)):
        own = done[done["strategy"] == name].drop_duplicates("digest")
        face = "none" if name == "uniform" != strategy else colour
        axis.scatter(*plane.points(own), s=18, facecolors=face, edgecolors=colour, linewidths=0.9, alpha=0.75,
                     zorder=order, label=f"{label} ({len(own)} architectures)", rasterized=len(own) > MANY)  # fmt: skip
        if name == strategy == "uniform":
            break
    if len(pareto):
        costs, values = plane.points(pareto.sort_values(plane.cost.name))
        axis.plot(costs, values, color=INK, linewidth=1.1, drawstyle="steps-post", label="Pareto front", zorder=4)
    for number, (word, (owner, digest)) in enumerate(marks.items()):
        marked = done[(done["strategy"] == owner) & (done["digest"] == digest)].head(1)
        first = number == 0
        axis.scatter(*plane.points(marked), s=130 if first else 60, marker="*" if first else "D",
                     color=ORANGE if first else "white", edgecolors=INK, linewidths=0.8, label=word,
                     zorder=6 if first else 5)  # fmt: skip
    if np.isfinite(most):
        _limit_line(axis, plane.cost, most)
    axis.set_xlabel(plane.cost.axis_label)
    axis.set_ylabel(measured_label("validation", plane.objective))
    _below(axis)
    return figure


def _limit_line(axis: Axes, cost: Quantity, most: float) -> None:
    at = most * cost.axis_scale
    axis.axvline(at, color=ORANGE, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axis.annotate(f"limit {_figure(at)} {cost.axis_unit}".rstrip(), (at, 1), xycoords=("data", "axes fraction"),
                  xytext=(0, 4), textcoords="offset points", ha="right", va="bottom", color=ORANGE,
                  fontsize=8)  # fmt: skip


@in_style
def progress(trials: pd.DataFrame, objective: Objective, quantity: Quantity, strategy: str) -> Figure:
    """Best feasible value so far over trials: the strategy against the uniform baseline."""
    figure, axes = axes_of(6.6, 2.9)
    axis: Axes = axes[0, 0]
    for name, colour, style in (("uniform", MUTED, (0, (4, 2))), (strategy, BLUE, "-")):
        own = trials[trials["strategy"] == name].sort_values("number")
        if not len(own):
            continue
        best = best_so_far(own, objective) * quantity.axis_scale
        label, dot = "uniform baseline" if name == "uniform" else name, "o" if len(own) == 1 else None
        axis.plot(own["number"] + 1, best, color=colour, linestyle=style, linewidth=1.6, drawstyle="steps-post",
                  marker=dot, label=label)  # fmt: skip
        if name == strategy:
            break
    axis.set_xlabel("trials")
    axis.set_ylabel(f"best {measured_label('validation', quantity)}")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.margins(x=0.02)
    _below(axis)
    return figure


@final
class PlainLog(LogFormatter):
    """Labels of a logarithmic axis: where Matplotlib would write a power of ten, the number itself."""

    @override
    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


@in_style
def curves(histories: Mapping[str, Sequence[EpochResult]], metric: Quantity) -> Figure:
    """Training loss and the `metric` on the validation split over epochs, one line per training."""
    figure, axes = axes_of(6.6, 2.9, 1, 2)
    losses, values = axes[0]
    for (name, epochs), colour in zip(histories.items(), cycle(CURVES), strict=False):
        line = {"color": colour, "linewidth": 1.3, "marker": "o", "markersize": 2.2}
        losses.plot([e.epoch for e in epochs], [e.loss for e in epochs], label=name, **line)
        known = [(e.epoch, metric.axis_scale * e.metrics[metric.name]) for e in epochs if metric.name in e.metrics]
        if known:
            values.plot(*zip(*known, strict=True), **line)
    losses.set_yscale("log")
    losses.yaxis.set_major_formatter(PlainLog())
    losses.yaxis.set_minor_formatter(PlainLog(minor_thresholds=(1, 0.4)))
    losses.set_ylabel("training loss")
    values.set_ylabel(measured_label("validation", metric))
    for axis in (losses, values):
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.legend(loc="outside lower center", ncols=min(4, len(histories)), fontsize=8.5)
    return figure


@in_style
def architecture(kept: Mapping[str, int], full: Mapping[str, int]) -> Figure:
    """What the architecture keeps, block by block: a row per dimension, a bar per block, the frame being the whole
    model's.

    `kept` and `full` map axes ("mlp.3", "embed") to sizes, for the axes that choices set.
    """
    dimensions: dict[str, list[str]] = {}
    for axis in kept:
        dimensions.setdefault(dimension(axis), []).append(axis)
    # Depth is no row of its own: a block that is skipped is hatched in every row. Unless there is nothing else to draw.
    off = {index(axis) for axis in dimensions.pop(DEPTH, []) if kept[axis] == 0}
    blocks = sorted({index(axis) for axis in kept if index(axis)}, key=position)
    shown = list(dimensions) or [DEPTH]
    heights = [1.15 if any(map(index, dimensions.get(name, blocks))) else 0.35 for name in shown]
    width = max(6.6, 0.36 * len(blocks) + 1.2)
    figure, axes = axes_of(width, sum(heights) + 0.4, len(shown), 1, height_ratios=heights)
    for row, name in enumerate(shown):
        panel: Axes = axes[row, 0]
        if name in dimensions and not index(dimensions[name][0]):
            _whole(panel, name, kept[name], full[name])
            continue
        # Where only depth is chosen, all blocks that are not skipped are whole: 1 of 1.
        axis_of = {block: axis_name(name, block) for block in blocks}
        sizes = {block: (kept.get(axis, 1), full.get(axis, 1)) for block, axis in axis_of.items()
                 if name == DEPTH or axis in kept}  # fmt: skip
        _blocks(panel, name, sizes, blocks, off)
        if row == len(shown) - 1:
            panel.set_xlabel("block")
    return figure


def _blocks(panel: Axes, name: str, sizes: Mapping[str, tuple[int, int]], blocks: Sequence[str], off: set[str]) -> None:
    """A bar per block; `sizes` maps a block to what is kept and what the whole model has."""
    for at, block in enumerate(blocks):
        if block not in sizes:
            continue
        kept, full = sizes[block]
        skipped = block in off
        panel.bar(at, 1, width=0.72, color="none", edgecolor=MUTED, linewidth=0.7, hatch="////" if skipped else None)
        if not skipped:
            panel.bar(at, kept / full, width=0.72, color=BLUE, edgecolor=BLUE, linewidth=0.7)
        label = "skipped" if skipped else f"{kept}/{full}" if len(blocks) <= 12 else f"{kept}"
        panel.text(at, 1.06, label, ha="center", va="bottom", fontsize=7.5 if len(blocks) <= 16 else 6, color=INK)
    panel.set_xlim(-0.6, len(blocks) - 0.4)
    panel.set_ylim(0, 1.28)
    panel.set_xticks(range(len(blocks)), [*blocks], fontsize=8)
    panel.set_yticks([])
    panel.set_ylabel(in_words(name), rotation=0, ha="right", va="center", labelpad=8)
    panel.grid(visible=False)
    panel.spines[["left", "bottom"]].set_visible(False)
    panel.tick_params(length=0)


def _whole(panel: Axes, name: str, kept: int, full: int) -> None:
    panel.barh(0, 1, color="none", edgecolor=MUTED, linewidth=0.7, height=0.7)
    panel.barh(0, kept / full, color=BLUE, edgecolor=BLUE, linewidth=0.7, height=0.7)
    panel.text(1.01, 0, f"{kept}/{full}", va="center", fontsize=7.5)
    panel.set_xlim(-0.01, 1.1)
    panel.set_yticks([0], [in_words(name)], parse_math=False)
    panel.set_xticks([])
    panel.grid(visible=False)
    panel.spines[["left", "bottom"]].set_visible(False)
    panel.tick_params(length=0)


def in_words(dimension: str) -> str:
    """A dimension as plots call it: "head dim"."""
    return dimension.replace("_", " ")


def measured_label(when: str, quantity: Quantity) -> str:
    """What an axis says of a metric that was measured on a split, or in some way; a cost is the same everywhere."""
    return f"{when} {quantity.axis_label}" if quantity.origin == "measured" else quantity.axis_label


def _figure(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _below(axis: Axes) -> None:
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.19), ncols=3, fontsize=8.5, handletextpad=0.4)
