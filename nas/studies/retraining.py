"""How an architecture learns again by a recipe: what is trained, what it minimises, and the whole of it as one call."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import nn

from nas import training
from nas.searchspaces import Architecture
from nas.studies.config import RetrainSpec
from nas.supernets import Supernet, build
from nas.training import AdjoinedStep, Data, DistilledStep, PlainStep, Step, accuracy, fit
from nas.training.adjoined import SeparateNorms
from nas.training.gradual import stages


def start(
    spec: RetrainSpec,
    supernet: Supernet,
    architecture: Architecture,
    *,
    extracted: Callable[[], nn.Module],
    teacher: Callable[[], nn.Module],
) -> tuple[nn.Module, Step]:
    """What is trained, and what it minimises; `extracted` and `teacher` are asked for only where they are needed."""
    if spec.loss == "adjoined":
        pair = SeparateNorms(supernet, architecture) if spec.separate_norms else supernet
        first = stages(supernet.space, architecture) if spec.gradual else ()
        return pair, AdjoinedStep(architecture, supernet.space.largest, spec.detach, spec.small_ce, first)
    if spec.loss == "distilled":
        return extracted(), DistilledStep(teacher(), spec.weight, spec.temperature)
    return extracted(), PlainStep()


def small(fitted: nn.Module, architecture: Architecture) -> nn.Module:
    """The architecture's own module in what is trained; its parameters are those of the whole."""
    return fitted.subnet(architecture) if isinstance(fitted, Supernet | SeparateNorms) else fitted


def refresh(fitted: nn.Module) -> None:
    """What follows from the weights of a module that is trained, made anew."""
    if isinstance(fitted, Supernet | SeparateNorms):
        fitted.refresh()


@final
@dataclass(frozen=True, eq=False)
class Retraining:
    """Retrains one architecture after the other, each from the same weights, which stay as they are. It can be
    pickled, so that other processes can do it (`nas.training.packing`).

    supernet   whose weights are the start; or whose sub-networks are the architectures, with `scratch`
    spec       the recipe
    data       what is trained and validated on; it has no test split
    teacher    of the distilled loss
    scratch    start from weights that are freshly initialised, the same for all architectures of a seed
    """

    supernet: Supernet
    spec: RetrainSpec
    data: Data
    seed: int
    device: str
    teacher: nn.Module | None = None
    scratch: bool = False

    def __post_init__(self) -> None:
        assert not len(self.data.test), "no ranking may see the test split"

    def __call__(self, architecture: Architecture) -> Mapping[str, Any]:
        """A `nas.studies.results.Relearned`: the history, and what was measured on the search-validation split."""
        supernet = self._supernet()
        module, step = start(
            self.spec,
            supernet,
            architecture,
            extracted=lambda: supernet.extract(architecture),
            teacher=self._teacher,
        )
        session = training.Session(device=self.device, refresh=refresh, progress=False, title=architecture.digest)
        history = fit(module, step, self.data, self.spec, seed=self.seed, session=session)
        found = accuracy(small(module, architecture), self.data.validation, device=self.device)
        return {"digest": architecture.digest, "history": history.rows(), "validation": found.metrics}

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
