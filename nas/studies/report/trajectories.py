"""The report's plot of a relaxed search: what it wanted to keep of every block, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nas import quantities
from nas.searchspaces.axis_names import dimension, index, position
from nas.studies.report.plots import BLUE, CURVES, INK, axes_of, in_style, in_words
from nas.studies.run.results import EpochResult

BLOCKS: Colormap = LinearSegmentedColormap.from_list("blocks", ["#bcd3ee", BLUE, "#0d2440"])
"""First block to last; light to dark, so that the order survives printing in grey."""
COLUMNS = 3
WHOLE = ""
"""The panel of what belongs to no block."""

Line = list[tuple[int, float]]
"""(epoch, share), epoch by epoch."""


def panels(epochs: Sequence[EpochResult]) -> dict[str, dict[str, Line]]:
    """Dimension ("mlp" of "mlp.3") -> block ("3") -> its line; names that are of no block lie under `WHOLE`, last."""
    lines: dict[str, dict[str, Line]] = {}
    for epoch in epochs:
        for name, share in epoch.metrics.items():
            of_block = index(name).replace(".", "").isdecimal()
            panel, line = (dimension(name), index(name)) if of_block else (WHOLE, name)
            lines.setdefault(panel, {}).setdefault(line, []).append((epoch.epoch, share))
    return {panel: lines[panel] for panel in sorted(lines, key=lambda panel: panel == WHOLE)}


@in_style
def trajectories(epochs: Sequence[EpochResult]) -> Figure:
    """Shares over epochs (whose metrics are shares): a panel per dimension, a line per block."""
    drawn = panels(epochs)
    columns = min(COLUMNS, len(drawn))
    rows = -(-len(drawn) // columns)
    figure, axes = axes_of(6.6, 2.2 * rows + 0.5, rows, columns, sharex=True)
    blocks = sorted({block for panel in drawn for block in drawn[panel] if panel != WHOLE}, key=position)
    for axis, (panel, lines) in zip(axes.flat, drawn.items(), strict=False):
        if panel == WHOLE:
            _by_name(axis, lines)
        else:
            _by_block(axis, lines, blocks)
            axis.set_title(in_words(panel), fontsize=9, loc="left")
        axis.set_ylim(0, max(1.0, *(share for line in lines.values() for _, share in line)) * 1.04)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.tick_params(labelbottom=True)
        axis.set_xlabel("epoch")
    for row in axes:
        row[0].set_ylabel("share")
    for axis in axes.flat[len(drawn) :]:
        axis.set_visible(False)
    if len(blocks) > 1:
        _key(figure, axes, blocks)
    return figure


def _by_block(axis: Axes, lines: Mapping[str, Line], blocks: Sequence[str]) -> None:
    for block in sorted(lines, key=position):
        epochs, shares = zip(*lines[block], strict=True)
        axis.plot(epochs, shares, color=_colour(block, blocks), linewidth=1.2, marker=_marker(epochs), markersize=2.6)


def _by_name(axis: Axes, lines: Mapping[str, Line]) -> None:
    """Lines of what belongs to no block: the share of a cost by the title of its quantity."""
    titles = {cost.name: cost.title for cost in quantities.every_cost(lines)}
    for number, (name, line) in enumerate(lines.items()):
        epochs, shares = zip(*line, strict=True)
        axis.plot(epochs, shares, color=CURVES[number % len(CURVES)], linewidth=1.3,
                  label=titles.get(name, in_words(name)), marker=_marker(epochs), markersize=2.6)  # fmt: skip
    axis.set_title("whole model", fontsize=9, loc="left")
    axis.legend(fontsize=8, handlelength=1.2)


def _key(figure: Figure, axes: np.ndarray, blocks: Sequence[str]) -> None:
    """A bar of the blocks' colours beside the panels, its ends named."""
    colours = ScalarMappable(BoundaryNorm(np.arange(len(blocks) + 1) - 0.5, BLOCKS.N), BLOCKS)
    bar = figure.colorbar(colours, ax=list(axes.flat), shrink=0.7, aspect=22, pad=0.02)
    bar.set_ticks([0, len(blocks) - 1], labels=[blocks[0], blocks[-1]])
    bar.set_label("block", color=INK)
    bar.minorticks_off()
    bar.outline.set_visible(False)


def _colour(block: str, blocks: Sequence[str]) -> tuple[float, float, float, float]:
    return BLOCKS(blocks.index(block) / max(1, len(blocks) - 1))


def _marker(epochs: Sequence[int]) -> str:
    """A line of one point would not be seen."""
    return "o" if len(epochs) == 1 else ""
