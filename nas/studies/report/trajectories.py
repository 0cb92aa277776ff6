"""The report's plot of a relaxed search: what it wanted to keep of every block, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nas.searchspaces.axis_names import dimension, index, position
from nas.studies.report.plots import BLUE, CURVES, INK, axes_of, in_style

BLOCKS: Colormap = LinearSegmentedColormap.from_list("blocks", ["#bcd3ee", BLUE, "#0d2440"])
"""First block to last; light to dark, so that the order survives printing in grey."""
COLUMNS = 3
WHOLE = ""
"""The panel of what belongs to no block."""

Rows = Sequence[Mapping[str, Any]]


def panels(rows: Rows) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Family ("mlp" of "mlp.3") -> block ("3") -> (epoch, share); names without a block lie under `WHOLE`, last."""
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for row in rows:
        for name, value in row["metrics"].items():
            family, block = dimension(name), index(name)
            panel, line = (family, block) if block.replace(".", "").isdecimal() else (WHOLE, name)
            found.setdefault(panel, {}).setdefault(line, []).append((int(row["epoch"]), float(value)))
    return {family: found[family] for family in sorted(found, key=lambda family: family == WHOLE)}


@in_style
def trajectories(rows: Rows) -> Figure:
    """Shares over epochs (rows of `nas.training.History` whose metrics are shares): a panel per family, a line per
    block.
    """
    found = panels(rows)
    columns = min(COLUMNS, len(found))
    height = -(-len(found) // columns)
    figure, axes = axes_of(6.6, 2.2 * height + 0.5, height, columns, sharex=True)
    blocks = sorted({block for family in found for block in found[family] if family != WHOLE}, key=position)
    for axis, (family, lines) in zip(axes.flat, found.items(), strict=False):
        if family == WHOLE:
            _plain(axis, lines)
        else:
            _by_block(axis, lines, blocks)
            axis.set_title(family.replace("_", " "), fontsize=9, loc="left")
        axis.set_ylim(0, max(1.0, *(value for line in lines.values() for _, value in line)) * 1.04)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.tick_params(labelbottom=True)
        axis.set_xlabel("epoch")
    for row in axes:
        row[0].set_ylabel("share")
    for axis in axes.flat[len(found) :]:
        axis.set_visible(False)
    if len(blocks) > 1:
        _key(figure, axes, blocks)
    return figure


def _by_block(axis: Axes, lines: Mapping[str, Sequence[tuple[int, float]]], blocks: Sequence[str]) -> None:
    for block in sorted(lines, key=position):
        epochs, values = zip(*lines[block], strict=True)
        axis.plot(epochs, values, color=_colour(block, blocks), linewidth=1.2, marker=_marker(epochs), markersize=2.6)


def _plain(axis: Axes, lines: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    for number, (name, line) in enumerate(lines.items()):
        epochs, values = zip(*line, strict=True)
        label = "MACs" if name == "macs" else name.replace("_", " ")
        axis.plot(epochs, values, color=CURVES[number % len(CURVES)], linewidth=1.3, label=label,
                  marker=_marker(epochs), markersize=2.6)  # fmt: skip
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


def _colour(block: str, blocks: Sequence[str]) -> Any:
    return BLOCKS(blocks.index(block) / max(1, len(blocks) - 1))


def _marker(epochs: Sequence[int]) -> str:
    """A line of one point would not be seen."""
    return "o" if len(epochs) == 1 else ""
