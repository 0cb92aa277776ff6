"""The report's pictures of objects, as they are and as models found them; and how precise the models are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from nas.studies.report.plots import BLUE, GREEN, INK, MUTED, ORANGE, PURPLE, axes_of, in_style
from nas.studies.run.measured import LocatedFacts, ObjectFacts, PictureFacts
from nas.tasks import RunLengths

COLOURS = (ORANGE, BLUE, GREEN, PURPLE, "#b83280", "#0e7490")
PICTURES, PANELS = 3, 6
"""How many pictures, and panels of classes, there is room for."""
TRUE = "there"


@in_style
def found(images: NDArray[np.uint8], models: Mapping[str, LocatedFacts]) -> Figure:
    """A row per picture (`images`: in their letterboxes, N x H x W x C): its objects, and what each model found."""
    first = next(iter(models.values()))
    rows = min(PICTURES, len(images), len(first.pictures))
    columns = [TRUE, *models]
    picture = first.pictures[0]
    width = 6.8 / len(columns)
    height = width * picture.height / picture.width + 0.25
    figure, axes = axes_of(6.8, rows * height + 0.3, rows, len(columns))
    shown = sorted({thing.label for of in models.values() for one in of.pictures[:rows] for thing in one.true})
    colours = dict(zip(shown, COLOURS, strict=False))  # of as many classes as can be told apart
    for row in range(rows):
        for column, (name, axis) in enumerate(zip(columns, axes[row], strict=True)):
            one = first.pictures[row] if column == 0 else models[name].pictures[row]
            _picture(axis, images[row], one, one.true if column == 0 else one.found, colours)
            if row == 0:
                axis.set_title(name, fontsize=9, loc="left")
    marks = [Rectangle((0, 0), 1, 1, fill=False, edgecolor=colour, linewidth=1.4) for colour in colours.values()]
    names = [first.classes[label] for label in colours]
    if len(shown) > len(colours):
        marks.append(Rectangle((0, 0), 1, 1, fill=False, edgecolor=MUTED, linewidth=1.4))
        names.append("others")
    figure.legend(marks, names, loc="outside lower center", ncols=len(names) or 1, fontsize=7.5)
    return figure


def _picture(
    axis: Axes,
    image_HWC: NDArray[np.uint8],
    picture: PictureFacts,
    objects: Sequence[ObjectFacts],
    colours: Mapping[int, str],
) -> None:
    """A picture in its own pixels, and boxes and masks over it."""
    height, width = image_HWC.shape[:2]
    # The letterbox begins at the picture's upper left corner, and is as large as its longer side in proportion.
    scale = min(height / picture.height, width / picture.width)
    axis.imshow(image_HWC, extent=(0, width / scale, height / scale, 0), interpolation="nearest")
    for thing in objects:
        left, top, right, bottom = thing.box
        corner = (left, top)
        colour = colours.get(thing.label, MUTED)
        axis.add_patch(Rectangle(corner, right - left, bottom - top, fill=False, edgecolor=colour, linewidth=0.9))
        if thing.mask is not None:
            mask = RunLengths(picture.height, picture.width, np.array(thing.mask, np.uint32)).decoded()
            if mask.any():
                axis.contourf(mask, levels=[0.5, 1.5], colors=[colour], alpha=0.35)
    axis.set_xlim(0, picture.width)
    axis.set_ylim(picture.height, 0)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)


@in_style
def precision(models: Mapping[str, LocatedFacts]) -> Figure:
    """Precision over recall at IoU 0.50: a panel per class where there are few, else the mean over classes."""
    first = next(iter(models.values()))
    names = [name for name in first.curves if all(name in of.curves for of in models.values())]
    panels: dict[str, list[str]] = {name: [name] for name in names}
    if len(names) > PANELS:
        panels = {f"mean of {len(names)} classes": names}
    count = max(1, len(panels))
    columns = min(3, count)
    rows = -(-count // columns)
    figure, axes = axes_of(6.8, 2.1 * rows, rows, columns, sharex=True, sharey=True)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    recalls = np.linspace(0, 1, 101)
    for axis, (title, of_panel) in zip(axes.flat, panels.items(), strict=False):
        for (model, located), colour in zip(models.items(), (MUTED, BLUE, ORANGE), strict=False):
            curve = np.mean([located.curves[name] for name in of_panel], axis=0)
            axis.plot(recalls, curve, color=colour, linewidth=1.3, label=f"{model}, AP50 {100 * curve.mean():.1f} %")
        axis.set_title(title, fontsize=9, loc="left", color=INK)
        axis.legend(fontsize=6.5, loc="lower left")
        axis.set_ylim(0, 1.03)
        axis.set_xlabel("recall")
    axes[0, 0].set_ylabel("precision")
    return figure
