"""What `nas tau` found, as frames and as a file of the run's folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
import pandas as pd

from nas.quantities import Quantity
from nas.studies.run.folder import TAU, read_json, write_json
from nas.studies.run.rank_noise import Verdict
from nas.studies.run.rank_results import JudgedScore, RankingResult, Relearning


@final
@dataclass(frozen=True)
class RankTruth:
    """Does the ranking with shared weights hold after retraining?"""

    result: RankingResult

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per architecture, as shared weights rank them: digest, band, costs (macs, flops, params ...), and
        each metric with shared weights (shared_accuracy, shared_loss ...) and retrained (retrained_accuracy ...), on
        the search-validation split.
        """
        return pd.DataFrame([row.flat() for row in self.result.table])

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per statistic: value, low to high, and the ceiling with its own interval: see
        `nas.studies.tau.statistics.summary`.
        """
        frame = pd.DataFrame([asdict(row) for row in self.result.summary])
        return frame.astype(dict.fromkeys(frame.columns.difference(["statistic"]), "float64"))

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per score that is judged: its tau, that within bands of size, both as a share of what a perfect score
        would reach (`of_ceiling`, `within_of_ceiling`), and its gain over the first one's; empty where no proxies were
        asked for. The intervals are of architectures, see `nas.studies.tau.judging.judged`.
        """
        frame = pd.DataFrame([asdict(row) for row in self.result.scores], columns=[f.name for f in fields(JudgedScore)])
        frame = frame.astype(dict.fromkeys(frame.columns.difference(["score"]), "float64"))
        ceilings = self.summary.set_index("statistic")["ceiling"]
        # The first three statistics are those that have a ceiling: tau, tau within bands, Spearman's.
        over_all, within = ceilings.iloc[:2]
        return frame.assign(of_ceiling=frame["tau"] / over_all, within_of_ceiling=frame["within"] / within)

    @property
    def relearning(self) -> Relearning:
        """How the architectures were retrained."""
        return self.result.relearning

    @property
    def images(self) -> int:
        """On how many each metric was measured."""
        return self.result.images

    @property
    def ties(self) -> dict[str, int]:
        """Pairs of architectures, and how many have the same metric with shared weights or retrained."""
        return self.result.ties

    @property
    def metric(self) -> str:
        """Name of the metric that ranks: the first of the study's task."""
        return next(iter(self.result.table[0].shared))

    @property
    def verdict(self) -> str:
        """What limits the ranking, in a sentence; empty for an answer of an earlier version."""
        if self.result.noise is None:
            return ""
        _, _, high = self.value("tau")
        return str(Verdict(high, self.ceiling("tau"), self.result.noise, self.images))

    def value(self, statistic: str) -> tuple[float, float, float]:
        """A statistic, and the ends of its interval."""
        row = self.summary[self.summary["statistic"] == statistic]
        value, low, high = row[["value", "low", "high"]].to_numpy(np.float64)[0]
        return float(value), float(low), float(high)

    def ceiling(self, statistic: str) -> float:
        """What a perfect score would reach; NaN where that is not known."""
        (ceiling,) = self.summary.loc[self.summary["statistic"] == statistic, "ceiling"].to_numpy(np.float64)
        return float(ceiling)

    @property
    def name(self) -> str:
        """Of its file."""
        repeated = f"x{self.relearning.seeds}" if self.relearning.seeds > 1 else ""
        return f"{self.relearning.label}-{len(self.table)}{repeated}"

    @property
    def title(self) -> str:
        """What was done, in a few words."""
        how = self.relearning
        start = "freshly initialised weights" if how.from_scratch else "the shared weights"
        often = f", with {how.seeds} seeds" if how.seeds > 1 else ""
        epochs = f"{how.epochs} epoch{'' if how.epochs == 1 else 's'}"
        return f"{len(self.table)} architectures, retrained {epochs} ({how.loss}) from {start}{often}"

    @property
    def caption(self) -> str:
        """How coarse it is."""
        pairs = self.ties["pairs"]
        return (
            f"Measured on {self.images} images of the search-validation split: one image is {100 / self.images:.2f} % "
            f"of them. Of {pairs} pairs, {self.ties['tied_shared']} are tied with shared weights and "
            f"{self.ties['tied_retrained']} retrained."
        )

    def precision(self, metric: Quantity) -> str:
        """One standard error of a value of the `metric` with shared weights, and of the difference of two, which are
        measured on the same images, in a sentence; empty for a metric that does not tell.
        """
        error = metric.standard_error(float(self.table[f"shared_{metric.name}"].mean()), self.images)
        if error is None:
            return ""

        def said(value: float) -> str:
            return f"{metric.show_difference(value).removeprefix('+')} {metric.difference_unit}".rstrip()

        sentence = f"One standard error of {metric.in_text} with shared weights is {said(error)}"
        parts = self.result.noise.images if self.result.noise else None
        if parts is None or parts.noise is None:
            return f"{sentence}."
        # The noise is of one part; a value is their mean, and a difference has that of two values.
        return f"{sentence}, of a difference on the same images {said(math.sqrt(2 * parts.noise / parts.count))}."

    def save(self, run: Path) -> None:
        """Writes its file into a run's folder."""
        write_json(run / TAU / f"{self.name}.json", self.result)

    @classmethod
    def load(cls, path: Path) -> RankTruth:
        """Reads what `save` wrote. Raises `RunError` when the file is damaged."""
        return cls(read_json(path, RankingResult, remedy="delete it and run nas tau again"))


def found_in(run: Path) -> Sequence[RankTruth]:
    """All that a run's folder holds."""
    return [RankTruth.load(path) for path in sorted((run / TAU).glob("*.json"))]
