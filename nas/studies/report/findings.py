"""What the report says, computed once from a run's record, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import pandas as pd

from nas import words
from nas.studies.run.rank_truth import RankTruth, found_in
from nas.studies.run.record import Record


@final
@dataclass(frozen=True)
class Findings:
    """A finished run (all stages before `report`)."""

    record: Record

    @cached_property
    def trials(self) -> pd.DataFrame:
        """All trials."""
        return self.record.trials()

    @cached_property
    def notes(self) -> Mapping[str, Any]:
        """What the strategy remembers of its winner."""
        digest = self.record.result("explore")["winner"]["digest"]
        return next(t.notes for t in self.record.stored(self.record.strategy) if t.architecture.digest == digest)

    @cached_property
    def pareto(self) -> pd.DataFrame:
        """The front of all strategies of the run."""
        return self.record.pareto(self.trials)

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """Rows of the results table."""
        rows: Sequence[Mapping[str, Any]] = self.record.result("retrain")["rows"]
        return rows

    def row(self, model: str) -> Mapping[str, Any]:
        """The row of one model."""
        return next(row for row in self.rows if row["model"] == model)

    @cached_property
    def headline(self) -> str:
        """One sentence: what was saved, and what it cost."""
        base, best = self.row("base"), self.row("winner, retrained")
        change = 100 * (best["test_accuracy"] - base["test_accuracy"])
        verdict = "the same test accuracy" if abs(change) < 0.005 else f"{change:+.2f} points of test accuracy"
        return (
            f"{words.percent(best['macs'] / base['macs'], 1)} of the MACs and "
            f"{words.percent(best['params'] / base['params'], 1)} of the parameters, {verdict}"
        )

    @cached_property
    def hypervolumes(self) -> dict[str, float]:
        """Hypervolume of the strategy's trials and of the baseline's."""
        names = dict.fromkeys([self.record.strategy, "uniform"])
        of = {name: self.trials[self.trials["strategy"] == name] for name in names}
        return {name: self.record.hypervolume(frame) for name, frame in of.items() if len(frame)}

    @cached_property
    def histories(self) -> dict[str, Sequence[Mapping[str, Any]]]:
        """Training curves by name; those of trainings with no epochs are left out."""
        trainings = self.record.result("retrain")["trainings"]
        twins = self.record.result("retrain")["twins"]
        found = {
            "base": self.record.result("base")["history"],
            "importance": self.importance,
            "supernet": self.record.result("supernet")["history"],
            f"search ({self.record.strategy})": self.relaxation,
        }
        retrained = {
            f"{role}, retrained": t["history"] for role, t in trainings.items() if role == "winner" or not twins
        }
        return {name: rows for name, rows in {**found, **retrained}.items() if rows}

    @property
    def relaxation(self) -> Sequence[Mapping[str, Any]]:
        """Epochs of the strategy's own training; none when it trained nothing."""
        rows: Sequence[Mapping[str, Any]] = self.record.result("explore").get("relaxation", [])
        return rows

    @property
    def importance(self) -> Sequence[Mapping[str, Any]]:
        """Epochs in which the importance criterion trained."""
        rows: Sequence[Mapping[str, Any]] = self.record.result("supernet").get("importance", [])
        return rows

    @cached_property
    def passes(self) -> dict[str, int]:
        """Search cost: passes over the training data between the base model and the winner, by what they were for."""
        supernet = self.record.result("supernet")["history"]
        named = {"importance": self.importance, "supernet": supernet, self.record.strategy: self.relaxation}
        return {name: len(rows) for name, rows in named.items() if rows}

    @property
    def search(self) -> str:
        """How many architectures were measured, and how fast."""
        explored = self.record.result("explore")
        part = f" ({explored['stopped']} on a part of the images)" if explored.get("stopped") else ""
        speeds = explored.get("candidates_per_hour", {}).items()
        speed = ", ".join(f"{name} {words.amount(value)}" for name, value in speeds)
        hourly = f"; candidates per hour of measuring: {speed}" if speed else ""
        return f"{explored['trials']} trials, {explored['measured']} measured{part}{hourly}"

    @cached_property
    def baseline_trials(self) -> int:
        """Trials of the uniform baseline."""
        return int((self.trials["strategy"] == "uniform").sum())

    @property
    def adopted(self) -> bool:
        """Whether the strategy's architectures were measured on a supernet of its own."""
        return bool(self.record.result("explore").get("adopted", False))

    @cached_property
    def ranks(self) -> Sequence[RankTruth]:
        """What `nas tau` found, once per recipe and number of architectures."""
        return found_in(self.record.folder.path)

    @cached_property
    def warnings(self) -> list[str]:
        """What a reader must know before believing the table."""
        found = [f"search space: {note}" for note in self.record.result("prepare")["space"]["notes"]]
        explored, retrained = self.record.result("explore"), self.record.result("retrain")
        if explored["failed"]:
            found.append(
                f"{explored['failed']} of {explored['trials']} trials failed; their errors are in the table of trials"
            )
        if retrained["twins"]:
            found.append("the strategy and the uniform baseline chose the same architecture: it was retrained once")
        for role, extracted in self.record.result("extract").items():
            if isinstance(extracted, Mapping) and extracted["slices_only"] and extracted["difference"] > 0:
                found.append(
                    f"{role}: extracted model and supernet differ by {extracted['difference']:.1e}, expected 0"
                )
        if (images := self.rows[0]["test_images"]) < 1000:
            found.append(
                f"{images} test images: one image is {100 / images:.2f} points, so differences of a few mean little"
            )
        return found

    @cached_property
    def seconds(self) -> dict[str, float]:
        """Wall-clock seconds per finished stage."""
        return {stage: float(self.record.result(stage)["seconds"]) for stage in self.record.finished}
