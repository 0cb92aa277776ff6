"""What the report says, computed once from a run's record, for the terminal and for the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, final

import pandas as pd
from pydantic import Field, ValidationError

from nas import quantities, words
from nas.errors import RunError
from nas.preprocessing import DATA, GIVEN, MODEL
from nas.quantities import Counted, Multiple, OfTable, Quantity
from nas.search import Objective
from nas.studies.report import belief
from nas.studies.run.frames import front_objectives, pareto_frame
from nas.studies.run.measured import ConfusionFacts, LocatedFacts
from nas.studies.run.rank_truth import RankTruth, found_in
from nas.studies.run.record import Record
from nas.studies.run.results import (
    BASE,
    EXPLORE,
    EXTRACT,
    FINALISTS,
    PREPARE,
    RETRAIN,
    SUPERNET,
    EpochResult,
    ExploreResult,
    ExtractResult,
    PrepareResult,
    RetrainResult,
    Stage,
    StageResult,
    SupernetResult,
    WinnerResult,
)
from nas.studies.run.rounds import RoundResult
from nas.studies.run.rows import BASE_MODEL, RETRAINED, WINNER, RowResult
from nas.studies.run.typed_json import parsed, said

FEW = 1000
"""Test images below which a reader is warned of small differences."""


@final
@dataclass(frozen=True, kw_only=True)
class TokenNotes:
    """What a strategy that chooses tokens one by one remembers of its winner.

    positions   block -> the tokens that it computes
    grid        rows and columns of patches
    tolerance   greatest relative error of a block's successor at which the block stopped to grow
    variation   block -> how much the impact of its tokens varies over images: standard deviation over mean
    """

    positions: Annotated[dict[str, list[Annotated[int, Field(ge=0, lt=2**31)]]], Field(min_length=1)]
    grid: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=2, max_length=2)]
    tolerance: float
    variation: dict[str, float]


@final
@dataclass(frozen=True)
class Findings:
    """A finished run (all stages before `report`)."""

    record: Record

    @cached_property
    def prepared(self) -> PrepareResult:
        """The study's frame."""
        return self.record.result(PREPARE)

    @cached_property
    def preprocessing(self) -> str:
        """By which constants pictures became images, and whose these are; empty for runs that did not record it."""
        constants = self.prepared.preprocessing
        if constants is None:
            return ""
        sources = {DATA: "the training images", MODEL: "the pretrained model", GIVEN: "the study's data mapping"}
        whose = words.listed([sources.get(source, source) for source in constants.source.split(" + ")])
        mean, std = (", ".join(f"{value:.3f}" for value in values) for values in (constants.mean, constants.std))
        return (
            f"mean {mean}; deviation {std}; {constants.interpolation}, {words.percent(constants.crop_pct, 1)} of the "
            f"side kept ({constants.crop_mode}): by {whose}"
        )

    @cached_property
    def supernet(self) -> SupernetResult:
        """How the supernet was trained."""
        return self.record.result(SUPERNET)

    @cached_property
    def explored(self) -> ExploreResult:
        """What the searches found."""
        return self.record.result(EXPLORE)

    @cached_property
    def roles(self) -> dict[str, WinnerResult]:
        """Role -> its trial: the winner, and what the uniform baseline chose."""
        return self.record.folder.roles()

    @cached_property
    def rounds(self) -> list[RoundResult]:
        """In which the winner was decided; none where the best trial won, and in runs of earlier versions."""
        decided = self.record.folder.result(FINALISTS)
        return decided.rounds if decided else []

    @cached_property
    def extracted(self) -> ExtractResult:
        """The winners as plain modules."""
        return self.record.result(EXTRACT)

    @cached_property
    def retrained(self) -> RetrainResult:
        """Retrainings, the results table, how latency was measured."""
        return self.record.result(RETRAIN)

    @cached_property
    def metric(self) -> Quantity:
        """The headline: the first metric of the run's task."""
        return self.record.task.metrics[0]

    @cached_property
    def detailed(self) -> Sequence[Quantity]:
        """What was measured on the test split, where that is more than the searches measured; earlier runs did not."""
        task = self.record.task
        metrics = task.detailed_metrics(self.prepared.data.classes)
        known = [metric for metric in metrics if all(metric.name in row.test for row in self.rows)]
        return known if len(known) > len(task.metrics) else ()

    @cached_property
    def located(self) -> Mapping[str, LocatedFacts]:
        """What the whole model, and what the study ends with, found where; nothing of other tasks."""
        facts = self.retrained.located or {}
        return {model: facts[model] for model in (BASE_MODEL, f"{WINNER}{RETRAINED}") if model in facts}

    @property
    def class_precisions(self) -> Mapping[str, Mapping[str, float]]:
        """Model -> average precision of each class; nothing of other tasks, and of runs that did not record it."""
        facts = self.retrained.located or {}
        return {model: of.averages for model, of in facts.items() if of.averages}

    @cached_property
    def confusion(self) -> ConfusionFacts | None:
        """Which classes the whole model, and what the study ends with, took for which."""
        facts, shown = self.retrained.confusion, (BASE_MODEL, f"{WINNER}{RETRAINED}")
        if facts is None or not facts.models.keys() >= set(shown):
            return None
        return replace(facts, models={model: facts.models[model] for model in shown})

    @cached_property
    def costs(self) -> tuple[Counted | OfTable, ...]:
        """The costs that this run knows: those that came later it did not record."""
        had = self.rows[0].costs
        return tuple(quantity for quantity in quantities.recorded(had) if quantity.name in had)

    def quantity(self, name: str) -> Quantity:
        """A metric of the run's task, or a cost, by its name."""
        known = (*self.record.task.metrics, *quantities.every_cost([name]))
        return next(quantity for quantity in known if quantity.name == name)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """All trials."""
        return self.record.trials()

    @cached_property
    def tokens(self) -> TokenNotes | None:
        """Which tokens the winner computes, where its strategy chose them one by one."""
        winner = self.roles[WINNER]
        trials = self.record.stored(winner.strategy)
        notes = next(trial.notes for trial in trials if trial.architecture.digest == winner.digest)
        if "positions" not in notes:
            return None
        try:
            return parsed(TokenNotes, json.dumps(notes))
        except ValidationError as fault:
            raise self._damaged(f"the notes of the winner's trial ({said(fault)})", EXPLORE) from fault

    @cached_property
    def drawn_cost(self) -> Quantity:
        """The cost that the front is drawn over: one that the study wants little of, or bounds; else the size.

        A bound on the size comes before other bounds. The cost is never that of the first objective, which the plot has
        on its other axis.
        """
        objectives, bounds = self.record.objectives, self.record.bounds
        wanted = [objective.metric for objective in objectives[1:]]
        bounded = [] if quantities.SIZE in bounds else list(bounds)
        beside = [objective.metric for objective in front_objectives(objectives)[1:]]
        names = [_counted(name) for name in (*wanted, *bounded, *beside, quantities.SIZE)]
        return next(quantities.find(name) for name in names if name and name != _counted(objectives[0].metric))

    @cached_property
    def front(self) -> pd.DataFrame:
        """The front of all strategies of the run, as it is drawn: with a single objective, over that and the cost."""
        objectives = self.record.objectives
        if len(objectives) > 1:
            return self.record.pareto(self.trials)
        return pareto_frame(self.trials, (*objectives, Objective(self.drawn_cost.name, maximise=False)))

    @cached_property
    def rows(self) -> Sequence[RowResult]:
        """Rows of the results table."""
        rows, name = self.retrained.rows, self.metric.name
        if any(name not in row.test or row.costs.keys() != rows[0].costs.keys() for row in rows):
            raise self._damaged(f"rows without test_{name}, or with different costs", RETRAIN)
        return rows

    def _damaged(self, reason: str, stage: Stage[StageResult]) -> RunError:
        folder = self.record.folder
        return RunError(f"{folder}: damaged, {reason}; {folder.again(stage)}")

    @cached_property
    def headline(self) -> str:
        """One sentence: what was saved, and what it cost."""
        base, best = self.retrained.row(BASE_MODEL), self.retrained.winner
        shares = [
            f"{words.percent(best.costs[cost.name] / base.costs[cost.name], 1)} of the {cost.in_text}"
            for cost in self.costs
        ]
        change = best.test[self.metric.name] - base.test[self.metric.name]
        return f"{words.listed(shares)}, {self._verdict(change)}"

    def _verdict(self, change: float) -> str:
        metric = self.metric
        title, difference = f"test {metric.title}", metric.show_difference(change)
        if difference in (metric.show_difference(0.0), metric.show_difference(-0.0)):
            return f"the same {title}"
        return " ".join(filter(None, (difference, metric.difference_unit, f"of {title}")))

    @cached_property
    def hypervolumes(self) -> dict[str, float]:
        """Hypervolume of the strategy's trials and of the baseline's."""
        names = dict.fromkeys([self.record.strategy, "uniform"])
        of = {name: self.trials[self.trials["strategy"] == name] for name in names}
        return {name: self.record.hypervolume(frame) for name, frame in of.items() if len(frame)}

    @cached_property
    def histories(self) -> dict[str, Sequence[EpochResult]]:
        """Training curves by name; those of trainings with no epochs are left out."""
        histories = {
            "base": self.record.result(BASE).history,
            "importance": self.supernet.importance,
            "supernet": self.supernet.history,
            f"search ({self.record.strategy})": self.explored.relaxation,
        }
        for role, training in self.retrained.trainings.items():
            if role == "winner" or not self.retrained.twins:  # twins were trained once
                histories[f"{role}{RETRAINED}"] = training.history
        return {name: epochs for name, epochs in histories.items() if epochs}

    @cached_property
    def passes(self) -> dict[str, int]:
        """Search cost: passes over the training data between the base model and the winner, by what they were for."""
        trainings = {
            "importance": self.supernet.importance,
            "supernet": self.supernet.history,
            self.record.strategy: self.explored.relaxation,
        }
        return {name: len(epochs) for name, epochs in trainings.items() if epochs}

    @property
    def search(self) -> str:
        """How many architectures were measured, and how fast."""
        explored = self.explored
        part = f" ({explored.stopped} on a part of the images)" if explored.stopped else ""
        hours = {name: round(value) for name, value in explored.candidates_per_hour.items()}
        speed = ", ".join(f"{name} {words.amount(value)}" for name, value in hours.items())
        hourly = f"; candidates per hour of measuring: {speed}" if speed else ""
        return f"{explored.trials} trials, {explored.measured} measured{part}{hourly}"

    @cached_property
    def baseline_trials(self) -> int:
        """Trials of the uniform baseline."""
        return int((self.trials["strategy"] == "uniform").sum())

    @cached_property
    def ranks(self) -> Sequence[RankTruth]:
        """What `nas tau` found, once per recipe and number of architectures."""
        return found_in(self.record.folder.path)

    @cached_property
    def belief(self) -> list[str]:
        """Whether the run can be believed: three sentences."""
        metric, images = self.metric, self.prepared.data.images
        known = self.trials[self.trials["feasible"] & (self.trials["state"] == "done")]
        return [
            belief.of_scores(
                metric,
                known.drop_duplicates("digest")[metric.name],
                images.validation,
                self.ranks[0] if self.ranks else None,
            ),
            belief.of_finalists(self.rounds),
            belief.of_distance(
                self.record.task.metrics, self.retrained.against_uniform, images.test, twins=self.retrained.twins
            ),
        ]

    @cached_property
    def foreseen(self) -> str:
        """How predicted latencies compare with those that were measured; empty for runs without a table."""
        tables = self.prepared.tables or ({quantities.TIME: self.prepared.latency} if self.prepared.latency else {})
        times = {quantities.TIME: self.retrained.foreseen, **self.retrained.foreseen_by}
        said = (belief.of_table(quantities.find(name), table, times.get(name)) for name, table in tables.items())
        return " ".join(said)

    @cached_property
    def warnings(self) -> list[str]:
        """What a reader must know before believing the table."""
        warnings = [f"search space: {note}" for note in self.prepared.space.notes]
        warnings += [f"data: {note}" for note in self.prepared.notes]
        warnings += self.record.result(BASE).notes
        if failed := self.explored.failed:
            warnings.append(
                f"{failed} of {self.explored.trials} trials failed; their errors are in the table of trials"
            )
        if self.retrained.twins:
            warnings.append("the winner is the architecture that the uniform baseline chose: it was retrained once")
        warnings += [
            f"{role}: extracted model and supernet differ by {model.difference:.1e}, expected 0"
            for role, model in self.extracted.roles.items()
            if model.slices_only and model.difference > 0
        ]
        if (images := self.rows[0].test_images) < FEW:
            warnings.append(f"{images} test images: {self._coarse(images)}")
        return warnings

    def _coarse(self, images: int) -> str:
        """How little a difference means that was measured on a few images."""
        if self.metric.over_inputs == "share":
            return f"one image is {100 / images:.2f} points, so differences of a few mean little"
        return "small differences mean little"


def _counted(name: str) -> str:
    """The counted quantity that `name` is, or is a multiple of; empty for a metric."""
    for cost in quantities.every_cost([name]):
        if cost.name == name:
            return cost.of if isinstance(cost, Multiple) else cost.name
    return ""
