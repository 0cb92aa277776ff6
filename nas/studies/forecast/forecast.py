"""The seconds of each stage and the bytes of a study, before it runs.

Seconds are those of this machine as it is now, times what the study asks for: how many pictures, how often, by which
step. What no step was timed of (plots, files, a strategy's arithmetic) is not in them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import torch

from nas.documents.text import Plain
from nas.searchspaces import Architecture
from nas.studies.file.config import BASELINE, StageRecipe
from nas.studies.file.resolve import Resolved
from nas.studies.forecast import pace
from nas.studies.forecast.memory import PROCESS, Footprint, footprint
from nas.studies.forecast.pictures import FewPictures, held
from nas.studies.run.results import BASE, EXPLORE, FINALISTS, PREPARE, RETRAIN, STAGES, SUPERNET, Stage, StageResult
from nas.studies.stages.finalists import lengths_of
from nas.studies.stages.retrain import start
from nas.studies.stages.workshop import device_called
from nas.supernets import Supernet, build
from nas.system.machine import cores
from nas.training import PlainStep
from nas.words import counted

DECODERS = 8
"""Threads that decode what is held, see `nas.data.images`."""
DRAWN = 2
"""Random architectures by which the search's pace is judged."""


@final
@dataclass(frozen=True)
class StageForecast:
    """What a stage does, in words, and about how many seconds that takes."""

    stage: str
    work: str
    seconds: float


@final
@dataclass(frozen=True)
class MemoryForecast:
    """Bytes: of pictures that are held, of the hungriest training and of what is measured; all of it together."""

    pictures: int
    training: int
    measuring: int
    device: str

    @property
    def total(self) -> int:
        """At most so much at a time, the process included; of a GPU, what its own memory holds."""
        most = max(self.training, self.measuring)
        return most if self.device == "cuda" else PROCESS + self.pictures + most


@final
@dataclass(frozen=True)
class Forecast:
    """What remains of a study."""

    stages: tuple[StageForecast, ...]
    memory: MemoryForecast
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Of all stages together."""
        return sum(stage.seconds for stage in self.stages)


def forecast(study: Resolved, stages: Collection[Stage[StageResult]] = STAGES) -> Forecast:
    """What the `stages` of a study take, whose data are here. Nothing is written; a few pictures are decoded, and a
    few steps are run on a model with random weights. Raises as a run does where it cannot begin.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(study.config.threads or before)
    try:
        return _Clock(study, FewPictures.of(study)).forecast(stages)
    finally:
        torch.set_num_threads(before)


@final
class _Clock:
    """Times the steps of a study, each when it is asked for."""

    def __init__(self, study: Resolved, few: FewPictures) -> None:
        self.study, self.config, self.few = study, study.config, few
        self.device = device_called(study.config.device)
        self.train, self.validation, self.test = map(len, few.splits)
        seed = np.random.default_rng(0)
        self.drawn = [study.space.sample(seed, study.limit) for _ in range(DRAWN)]

    def forecast(self, stages: Collection[Stage[StageResult]]) -> Forecast:
        timed = {PREPARE: self._prepare, BASE: self._base, SUPERNET: self._supernet, EXPLORE: self._explore,
                 FINALISTS: self._finalists, RETRAIN: self._retrain}  # fmt: skip
        known = [timed[stage]() for stage in STAGES if stage in stages and stage in timed]
        return Forecast(tuple(known), self._memory(), tuple(self._notes()))

    def _prepare(self) -> StageForecast:
        splits = [split for split in self.few.splits if held(self.study, split)]
        count = sum(map(len, splits))
        seconds = count * self.few.decoding / min(DECODERS, cores())
        what = f"{count:,} pictures are decoded and held" if count else "no picture is held: they are decoded anew"
        return StageForecast(PREPARE.name, what, seconds)

    def _base(self) -> StageForecast:
        epochs = self.config.base.epochs
        seconds = self._trained(self.config.base, self.plain) if epochs else 0.0
        seconds += (epochs + 1) * self.validation * self.measured
        return StageForecast(BASE.name, self._epochs(epochs), seconds)

    def _supernet(self) -> StageForecast:
        spec = self.config.supernet
        seconds = self._trained(spec, self._shared()) if spec.epochs else 0.0
        ordering = epochs_in(self.study.settings["importance"])
        seconds += ordering * self.train * self._paced(self.plain) if ordering else 0.0
        # After each epoch the largest and the smallest are measured.
        seconds += (spec.epochs + 1) * self.validation * (self.measured + self.searched)
        return StageForecast(SUPERNET.name, self._epochs(spec.epochs), seconds)

    def _explore(self) -> StageForecast:
        own = self.study.strategy.trials
        beside = 0 if self.config.strategy["use"] == BASELINE else self.study.baseline_trials
        epochs = epochs_in(self.study.settings["strategy"])
        seconds = (own + beside) * self.validation * self.searched
        seconds += epochs * self.train * self._paced(self.plain) if epochs else 0.0
        trained = f"{counted(epochs, 'epoch')}, then " if epochs else ""
        with_baseline = f" and {beside} uniform ones" if beside else ""
        return StageForecast(EXPLORE.name, f"{trained}{own} trials{with_baseline}", seconds)

    def _finalists(self) -> StageForecast:
        left, epochs = self.study.competing, 0
        lengths = lengths_of(left, self.config.retrain.epochs) if left else []
        for length in lengths:
            epochs += left * length
            left = -(-left // 2)
        seconds = epochs * (self.train * self._paced(self.retrained) + self.validation * self.searched)
        what = f"{self.study.competing} in {counted(len(lengths), 'round')}" if lengths else "none: the best trial wins"
        return StageForecast(FINALISTS.name, what, seconds)

    def _retrain(self) -> StageForecast:
        spec = self.config.retrain
        models = 1 if self.config.strategy["use"] == BASELINE or not self.study.baseline_trials else 2
        seconds = models * self._trained(spec, self.retrained) if spec.epochs else 0.0
        seconds += models * (spec.epochs + 1) * self.validation * self.searched
        seconds += (self.test + self.validation) * (self.measured + 2 * models * self.searched)
        seconds += len(self.config.latency.batches) * self.config.latency.seconds
        times = "" if models == 1 else ", winner and baseline"
        return StageForecast(RETRAIN.name, self._epochs(spec.epochs) + times, seconds)

    def _epochs(self, epochs: int) -> str:
        return f"{counted(epochs, 'epoch')} of {self.train:,} pictures" if epochs else "trains nothing"

    def _trained(self, recipe: StageRecipe, each: float) -> float:
        return recipe.epochs * self.train * self._paced(each)

    def _paced(self, each: float) -> float:
        """Seconds that a picture takes, which is decoded meanwhile where it is not held."""
        if held(self.study, self.few.splits[0]):
            return each
        workers = self.config.data.workers
        return max(each, self.few.decoding / max(1, cores() if workers is None else workers))

    @cached_property
    def plain(self) -> float:
        """Seconds that a picture takes where the whole model learns."""
        return pace.training(self._model(), PlainStep(), self.few, self.config.base, self.device)

    def _shared(self) -> float:
        """Seconds that a picture takes where the supernet learns."""
        step = self.study.rule.step(self.study.space, None, self.study.cost)
        return pace.training(self._new_supernet(), step, self.few, self.config.supernet, self.device)

    @cached_property
    def retrained(self) -> float:
        """Seconds that a picture takes where a winner learns again."""
        spec, supernet = self.config.retrain, self._new_supernet()
        if not spec.epochs:
            return 0.0
        module, step = start(spec, supernet, self.drawn[0], extracted=lambda: supernet.extract(self.drawn[0]),
                             teacher=self._model, scorer=None)  # fmt: skip
        return pace.training(module, step, self.few, spec, self.device)

    @cached_property
    def measured(self) -> float:
        """Seconds that a picture takes where the whole model is measured."""
        return self._measured(self.study.space.largest)

    @cached_property
    def searched(self) -> float:
        """Seconds that a picture takes where an architecture within the limit is measured."""
        return sum(map(self._measured, self.drawn)) / len(self.drawn)

    def _measured(self, architecture: Architecture) -> float:
        subnet = self._new_supernet().subnet(architecture)
        return pace.measuring(subnet, self.few, self.study.task, self.config.eval_batch, self.device)

    def _model(self) -> torch.nn.Module:
        return build(self.study.space.model, self.study.space.model_args).to(self.device)

    def _new_supernet(self) -> Supernet:
        return Supernet(self._model(), self.study.space)

    def _memory(self) -> MemoryForecast:
        of = self.footprint
        recipes = [recipe for recipe in (self.config.base, self.config.supernet, self.config.retrain) if recipe.epochs]
        training = [
            of.training(recipe.batch, 2 if self._in_pairs(recipe) else 1, recipe.grad_checkpointing)
            for recipe in recipes
        ]
        measured = min(self.config.eval_batch, max(self.validation, self.test))
        kept = sum(split.values for split in self.few.splits if held(self.study, split))
        return MemoryForecast(kept, max(training, default=0), of.measuring(measured), self.device.type)

    def _in_pairs(self, recipe: StageRecipe) -> bool:
        """Whether two networks are in memory together while they learn."""
        return recipe is self.config.retrain and self.config.retrain.loss == "adjoined"

    @cached_property
    def footprint(self) -> Footprint:
        """What the whole model takes."""
        return footprint_of(self.study, self.few)

    def _notes(self) -> Iterator[str]:
        if any(recipe.teacher for recipe in (self.config.base, self.config.supernet, self.config.retrain)):
            yield "what a teacher takes is not in the estimate"
        if any(recipe.workers > 1 for recipe in (self.config.base, self.config.supernet, self.config.retrain)):
            yield "the estimate is of one process; with more, training takes less"


def footprint_of(study: Resolved, few: FewPictures) -> Footprint:
    """What the whole model of a study takes, counted on two pictures without a GPU."""
    batch = next(few.pictures(min(2, len(few.few))).train.batches(2))
    model = build(study.space.model, study.space.model_args)
    return footprint(model, study.task.learning_inputs(batch), batch.inputs)


def epochs_in(options: Plain) -> int:
    """The epochs that the options of a plug-in ask for, those of what it plugs in included."""
    if isinstance(options, dict):
        own = options.get("epochs")
        return (own if isinstance(own, int) else 0) + sum(map(epochs_in, options.values()))
    return sum(map(epochs_in, options)) if isinstance(options, list) else 0
