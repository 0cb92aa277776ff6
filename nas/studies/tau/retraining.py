"""The retraining of an architecture as one call that keeps nothing, here or in another process."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import final

import torch
from torch import nn

from nas import training
from nas.data import Data
from nas.evaluation import EVAL_BATCH, evaluate
from nas.searchspaces import Architecture
from nas.studies.file.config import RetrainSpec
from nas.studies.run.results import TrainingResult, epochs_of
from nas.studies.stages.retrain import start
from nas.studies.stages.workshop import refresh
from nas.supernets import Supernet, build
from nas.training import FitCall, fit
from nas.training.objectives.gradual import Holder, Scorer
from nas.training.objectives.taught import Teacher
from nas.training.teacher import taught


@final
@dataclass(frozen=True, eq=False)
class Retraining:
    """Retrains one architecture after the other, each from the same weights, which stay as they are. It can be
    pickled, so that other processes can do it (`nas.system.packing`).

    supernet   whose weights are the start; or whose sub-networks are the architectures, with `scratch`
    spec       the recipe
    data       what is trained and validated on; it has no test split
    teacher    of the distilled loss
    master     the recipe's own teacher, if it has one
    scorer     of the units of a block before a gradual retraining cuts it
    batch      images that are measured together
    scratch    start from weights that are freshly initialised, the same for all architectures of a seed
    """

    supernet: Supernet
    spec: RetrainSpec
    data: Data
    seed: int
    device: str
    teacher: nn.Module | None = None
    master: Teacher | None = None
    scorer: Scorer | None = None
    batch: int = EVAL_BATCH
    scratch: bool = False

    def __post_init__(self) -> None:
        assert not len(self.data.test), "no ranking may see the test split"

    def __call__(self, architecture: Architecture) -> TrainingResult:
        """The history, and what was measured on the search-validation split."""
        supernet = self._supernet()
        module, step = start(
            self.spec,
            supernet,
            architecture,
            extracted=lambda: supernet.extract(architecture),
            teacher=self._teacher,
            scorer=self.scorer,
        )
        runtime = training.Runtime(device=self.device, refresh=refresh, progress=False, title=architecture.digest)
        step = taught(step, self.spec.teacher, self.master)
        history = fit(FitCall(module, step, self.data, self.spec, self.seed), runtime)
        model = module.extract(architecture) if isinstance(module, Holder) else module
        evaluation = evaluate(model, self.data.validation, self.data.task, device=self.device, batch=self.batch)
        return TrainingResult(digest=architecture.digest, history=epochs_of(history), validation=evaluation.metrics)

    def _supernet(self) -> Supernet:
        supernet = copy.deepcopy(self.supernet)
        if self.scratch:
            space = supernet.space
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                supernet.model.load_state_dict(build(space.model, space.model_args).state_dict())
            supernet.refresh()
        return supernet.to(self.device)

    def _teacher(self) -> nn.Module:
        assert self.teacher is not None, "the distilled loss has a teacher"
        return self.teacher.to(self.device)
