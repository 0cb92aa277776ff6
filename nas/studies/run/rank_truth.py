"""What `nas tau` found, as frames and as a file of the run's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd

from nas.studies.run.folder import TAU, read_json, write_json
from nas.studies.run.rank_results import RankingResult, Relearning


@final
@dataclass(frozen=True)
class RankTruth:
    """Does the ranking with shared weights hold after retraining?

    table        one row per architecture, as shared weights rank them: digest, band, macs, flops, params,
                 shared_accuracy, shared_loss, retrained_accuracy, retrained_loss (search-validation split)
    summary      one row per statistic: value, and low to high, see `nas.studies.tau.statistics.summary`
    relearning   how the architectures were retrained
    images       how many each accuracy was counted on
    ties         pairs of architectures, and how many have the same accuracy with shared weights or retrained
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    relearning: Relearning
    images: int
    ties: Mapping[str, int]

    def value(self, statistic: str) -> tuple[float, float, float]:
        """A statistic, and the ends of its interval."""
        row = self.summary[self.summary["statistic"] == statistic]
        value, low, high = row[["value", "low", "high"]].to_numpy(np.float64)[0]
        return float(value), float(low), float(high)

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.relearning.label}-{len(self.table)}"

    @property
    def title(self) -> str:
        """What was done, in a few words."""
        how = self.relearning
        start = "freshly initialised weights" if how.from_scratch else "the shared weights"
        return f"{len(self.table)} architectures, retrained {how.epochs} epochs ({how.loss}) from {start}"

    @property
    def caption(self) -> str:
        """How coarse it is."""
        pairs = self.ties["pairs"]
        return (
            f"Accuracies on {self.images} images of the search-validation split: one image is {100 / self.images:.2f} "
            f"points. Of {pairs} pairs, {self.ties['tied_shared']} are tied with shared weights and "
            f"{self.ties['tied_retrained']} retrained."
        )

    def save(self, run: Path) -> None:
        """Writes its file into a run's folder."""
        about = {"relearning": asdict(self.relearning), "images": self.images, "ties": dict(self.ties)}
        frames = {"table": _records(self.table), "summary": _records(self.summary)}
        write_json(run / TAU / f"{self.name}.json", {**frames, **about})

    @classmethod
    def load(cls, path: Path) -> RankTruth:
        """Reads what `save` wrote. Raises `RunError` when the file is damaged."""
        found = read_json(path, RankingResult, remedy="delete it and run nas tau again")
        return cls(
            pd.DataFrame(found["table"]),
            _numeric(pd.DataFrame(found["summary"])),
            Relearning(**found["relearning"]),
            found["images"],
            found["ties"],
        )


def found_in(run: Path) -> Sequence[RankTruth]:
    """All that a run's folder holds."""
    return [RankTruth.load(path) for path in sorted((run / TAU).glob("*.json"))]


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """JSON has null for what is not defined."""
    return [{str(c): None if pd.isna(v) else v for c, v in row.items()} for row in frame.to_dict("records")]


def _numeric(summary: pd.DataFrame) -> pd.DataFrame:
    """The way back."""
    columns: dict[str, Any] = dict.fromkeys(("value", "low", "high"), "float64")
    return summary.astype(columns)
