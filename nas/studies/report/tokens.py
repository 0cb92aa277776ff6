"""The report's plot of tokens: which of them each block computes, drawn over real images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nas.searchspaces.axis_names import position
from nas.studies.report.plots import INK, axes_of, in_style

MOST = 12
"""Columns at most; deeper models show every second block, or fewer."""


@in_style
def tokens(
    positions: Mapping[str, Sequence[int]], total: int, grid: Sequence[int], images: NDArray[np.uint8] | None
) -> Figure:
    """A row per image (uint8, N x H x W x C; grey where there is none), a column per block; what is not computed fades.

    `positions` maps a block to the tokens it computes, of `total`; `grid` is the rows and columns of patches. Class
    tokens come first and are not drawn.
    """
    blocks = sorted(positions, key=position)
    shown = blocks[:: -(-len(blocks) // MOST)]
    pictures = np.full((1, *grid, 1), 170, np.uint8) if images is None else images
    width = 6.6 / max(6, len(shown))
    figure, axes = axes_of(width * len(shown) + 0.2, (width + 0.05) * len(pictures) + 0.3, len(pictures), len(shown))
    for row, picture in enumerate(pictures):
        for column, block in enumerate(shown):
            axis = axes[row, column]
            axis.imshow(faded(picture, positions[block], total, grid), interpolation="nearest")
            axis.set_axis_off()
            if row == 0:
                axis.set_title(f"block {block}\n{len(positions[block])} of {total}", fontsize=7.5, color=INK)
    return figure


def faded(picture: NDArray[np.uint8], computed: Sequence[int], total: int, grid: Sequence[int]) -> NDArray[np.float64]:
    """The picture in [0, 1], RGB, nearly white at patches that are not computed."""
    high, wide = grid
    prefix = total - high * wide
    mask = np.zeros(high * wide)
    mask[[position - prefix for position in computed if position >= prefix]] = 1
    rows = (np.arange(picture.shape[0]) * high) // picture.shape[0]
    columns = (np.arange(picture.shape[1]) * wide) // picture.shape[1]
    kept = mask.reshape(high, wide)[np.ix_(rows, columns)][:, :, None]
    colours = np.broadcast_to(picture / 255.0, (*picture.shape[:2], 3))
    return kept * colours + (1 - kept) * (0.93 + 0.07 * colours)
