"""What was measured of a model: for Python, for the terminal, as JSON and as CSV."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, final

import pandas as pd

from nas import quantities, words
from nas.errors import TrainingError
from nas.preprocessing import ImageSize, Preprocessing, shown_size
from nas.quantities import Quantity
from nas.system.terminal import Terminal


@final
@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A model on a split of a data set.

    classes       their names, in the order of the model's outputs
    images        how many were looked at, each of `image_size` pixels, and `prepared` in this way
    metrics       all that the task measures in detail: accuracy, loss, top5, class_accuracy, calibration_error
    costs         macs (as torch counts them), flops (2 x macs), params
    confusion     images of each class (rows) that were taken for each class (columns), where classes are few
    seconds       of the whole, reading included
    predictions   a row per image that could be read (image, label, prediction, probability, correct), if asked for
    quantities    what the metrics are
    results       of a detector: what was found, an entry for each object, as COCO's files of results have it, if asked
    """

    model: str
    data: str
    split: str
    classes: list[str]
    images: int
    image_size: ImageSize
    prepared: Preprocessing
    metrics: dict[str, float]
    costs: dict[str, int]
    confusion: list[list[int]] | None
    device: str
    amp: str | None
    seconds: float
    notes: list[str]
    predictions: pd.DataFrame | None = field(default=None, compare=False, repr=False)
    quantities: tuple[Quantity, ...] = field(default=(), repr=False)
    results: list[dict[str, Any]] | None = field(default=None, compare=False, repr=False)

    def to_json(self) -> str:
        """All but the last three. Raises `TrainingError` for numbers that JSON does not know."""
        names = [each.name for each in fields(self) if each.name not in ("predictions", "quantities", "results")]
        content = {name: getattr(self, name) for name in names} | {"prepared": asdict(self.prepared)}
        try:
            return json.dumps(content, indent=1, allow_nan=False) + "\n"
        except ValueError as fault:
            raise TrainingError(f"{self.model}: a metric is infinite, or no number: its outputs overflow") from fault

    def show(self, console: Terminal) -> None:
        """Prints a line for each number."""
        console.say(
            f"{self.model} on {self.data}, {self.split}: {self.images:,} images at {shown_size(self.image_size)} pixels"
        )
        lines = [*self._lines()]
        width = max(len(name) for name, _ in lines)
        for name, value in lines:
            console.say(f"{name:{width}}  {value}")
        for note in self.notes:
            console.say(f"note: {note}")

    def _lines(self) -> Iterator[tuple[str, str]]:
        for metric in self.quantities:
            yield metric.title, metric.show(self.metrics[metric.name])
        for cost in quantities.every_cost(self.costs):
            if cost.name in self.costs:
                yield cost.title, cost.show(self.costs[cost.name])
        yield "images per second", f"{words.significant(self.images / self.seconds)}, reading included"
        how = self.prepared
        mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (how.mean, how.std))
        yield (
            "images prepared by",
            (
                f"mean {mean}, std {std}, crop_pct {how.crop_pct:g}, {how.interpolation}, crop_mode {how.crop_mode} "
                f"({how.source})"
            ),
        )
