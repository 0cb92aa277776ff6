"""The report's plots as SVG text: the front, the architecture, the search's progress, the training curves. One style,
no global state.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nas.search import Objective
from nas.searchspaces.axis_names import DEPTH, axis_name, dimension, index, position
from nas.studies.run.frames import best_so_far

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


P = ParamSpec("P")
R = TypeVar("R")


def in_style(draw: Callable[P, R]) -> Callable[P, R]:
    """A function that draws in the report's style. Matplotlib reads its settings when an artist is made: the style
    holds while the function draws, and only then.
    """

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapped


@in_style
def svg(figure: Figure) -> str:
    """A figure as an <svg> element, the same text for the same figure; letters are outlines, so that it looks alike
    everywhere.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", pad_inches=0.04, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def axes_of(width: float, height: float, rows: int = 1, columns: int = 1, **grid: Any) -> tuple[Figure, np.ndarray]:
    """A figure (inches) and its axes, rows x columns, in the report's style."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **grid)
    return figure, axes


@in_style
def front(
    trials: pd.DataFrame,
    pareto: pd.DataFrame,
    objective: Objective,
    *,
    strategy: str,
    marks: Mapping[str, tuple[str, str]],
    most: float | None,
) -> Figure:
    """The first objective over MACs: every trial, the uniform baseline's apart, the front as a line.

    `marks` maps a word such as "winner" to the strategy and the digest of a trial; `most` is the limit in MACs, if
    there is one.
    """
    figure, axes = axes_of(6.6, 3.9)
    axis = axes[0, 0]
    done = trials[trials["state"] == "done"]
    for name, colour, label, order in (("uniform", MUTED, "uniform baseline", 2), (strategy, BLUE, strategy, 3)):
        mine = done[done["strategy"] == name].drop_duplicates("digest")
        face = "none" if name == "uniform" != strategy else colour
        axis.scatter(_million(mine["macs"]), _shown(mine, objective), s=18, facecolors=face, edgecolors=colour,
                     linewidths=0.9, alpha=0.75, zorder=order,
                     label=f"{label} ({len(mine)} architectures)")  # fmt: skip
        if name == strategy == "uniform":
            break
    if len(pareto):
        path = pareto.sort_values("macs")
        axis.plot(_million(path["macs"]), _shown(path, objective), color=INK, linewidth=1.1, drawstyle="steps-post",
                  label="Pareto front", zorder=4)  # fmt: skip
    for place, (word, (finder, digest)) in enumerate(marks.items()):
        mine = done[(done["strategy"] == finder) & (done["digest"] == digest)].head(1)
        first = place == 0
        axis.scatter(_million(mine["macs"]), _shown(mine, objective), s=130 if first else 60,
                     marker="*" if first else "D", color=ORANGE if first else "white", edgecolors=INK, linewidths=0.8,
                     label=word, zorder=6 if first else 5)  # fmt: skip
    if most is not None and np.isfinite(most):
        axis.axvline(most / 1e6, color=ORANGE, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        text = f"limit {_figure(most / 1e6)} M"
        axis.annotate(text, (most / 1e6, 1), xycoords=("data", "axes fraction"), xytext=(0, 4),
                      textcoords="offset points", ha="right", va="bottom", color=ORANGE, fontsize=8)  # fmt: skip
    axis.set_xlabel("MACs per image (M); FLOPs are twice that")
    axis.set_ylabel(f"validation {_named(objective)}")
    _below(axis)
    return figure


@in_style
def progress(trials: pd.DataFrame, objective: Objective, strategy: str) -> Figure:
    """Best feasible value so far over trials: the strategy against the uniform baseline."""
    figure, axes = axes_of(6.6, 2.9)
    axis = axes[0, 0]
    for name, colour, style in (("uniform", MUTED, (0, (4, 2))), (strategy, BLUE, "-")):
        mine = trials[trials["strategy"] == name].sort_values("number")
        if not len(mine):
            continue
        best = best_so_far(mine, objective) * _scale(objective)
        axis.plot(mine["number"] + 1, best, color=colour, linestyle=style, linewidth=1.6, drawstyle="steps-post",
                  label="uniform baseline" if name == "uniform" else name)  # fmt: skip
        if name == strategy:
            break
    axis.set_xlabel("trials")
    axis.set_ylabel(f"best validation {_named(objective)}")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.margins(x=0.02)
    _below(axis)
    return figure


@in_style
def curves(histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Training loss and validation accuracy over epochs, one line per training (rows of `nas.training.History`)."""
    figure, axes = axes_of(6.6, 2.9, 1, 2)
    losses, accuracies = axes[0]
    for (name, rows), colour in zip(histories.items(), CURVES * (1 + len(histories) // len(CURVES)), strict=False):
        epochs = [row["epoch"] for row in rows]
        losses.plot(epochs, [row["loss"] for row in rows], color=colour, linewidth=1.3, label=name)
        known = [(row["epoch"], 100 * row["metrics"]["accuracy"]) for row in rows if "accuracy" in row["metrics"]]
        if known:
            accuracies.plot(*zip(*known, strict=True), color=colour, linewidth=1.3, marker="o", markersize=2.2)
    losses.set_yscale("log")
    losses.set_ylabel("training loss")
    accuracies.set_ylabel("validation accuracy (%)")
    for axis in (losses, accuracies):
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=min(4, len(histories)), fontsize=8.5)
    return figure


@in_style
def architecture(kept: Mapping[str, int], full: Mapping[str, int]) -> Figure:
    """What the architecture keeps, block by block: a row per axis family, a bar per block, the frame being the whole
    model's.

    `kept` and `full` map axes ("mlp.3", "embed") to sizes, for the axes that choices set.
    """
    families: dict[str, list[str]] = {}
    for axis in kept:
        families.setdefault(dimension(axis), []).append(axis)
    off = {index(axis) for axis in families.pop(DEPTH, []) if kept[axis] == 0}
    blocks = sorted({index(axis) for axis in kept if index(axis)}, key=position)
    shown = list(families) or [DEPTH]
    width = max(6.6, 0.36 * len(blocks) + 1.2)
    heights = [1.15 if any(map(index, families.get(family, blocks))) else 0.35 for family in shown]
    figure, axes = axes_of(width, sum(heights) + 0.4, len(shown), 1, height_ratios=heights)
    for place, family in enumerate(shown):
        panel: Axes = axes[place, 0]
        if family in families and not index(families[family][0]):
            _whole(panel, family, kept[family], full[family])
            continue
        own = {block: axis_name(family, block) for block in blocks}
        sizes = {block: (kept.get(axis, 1), full.get(axis, 1)) for block, axis in own.items()
                 if family == DEPTH or axis in kept}  # fmt: skip
        _blocks(panel, family, sizes, blocks, off)
        if place == len(shown) - 1:
            panel.set_xlabel("block")
    return figure


def _blocks(
    panel: Axes, family: str, sizes: Mapping[str, tuple[int, int]], blocks: Sequence[str], off: set[str]
) -> None:
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
    panel.set_ylabel(family.replace("_", " "), rotation=0, ha="right", va="center", labelpad=8)
    panel.grid(visible=False)
    panel.spines[["left", "bottom"]].set_visible(False)
    panel.tick_params(length=0)


def _whole(panel: Axes, family: str, kept: int, full: int) -> None:
    panel.barh(0, 1, color="none", edgecolor=MUTED, linewidth=0.7, height=0.7)
    panel.barh(0, kept / full, color=BLUE, edgecolor=BLUE, linewidth=0.7, height=0.7)
    panel.text(1.01, 0, f"{kept}/{full}", va="center", fontsize=7.5)
    panel.set_xlim(-0.01, 1.1)
    panel.set_yticks([0], [family.replace("_", " ")])
    panel.set_xticks([])
    panel.grid(visible=False)
    panel.spines[["left", "bottom"]].set_visible(False)
    panel.tick_params(length=0)


def _scale(objective: Objective) -> float:
    return 100.0 if objective.metric == "accuracy" else 1.0


def _named(objective: Objective) -> str:
    return "accuracy (%)" if objective.metric == "accuracy" else objective.metric


def _shown(frame: pd.DataFrame, objective: Objective) -> pd.Series:
    return frame[objective.metric] * _scale(objective)


def _million(macs: pd.Series) -> pd.Series:
    return macs / 1e6


def _figure(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _below(axis: Axes) -> None:
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.19), ncols=3, fontsize=8.5, handletextpad=0.4)
