"""`Sizing`: the abstract half for strategies that size by importance: score all units, then say how many stay where."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator
from torch import Tensor
from typing_extensions import override

from nas import importance
from nas.documents.markers import Plugged
from nas.documents.plugged import checked, plugin_of
from nas.errors import StrategyError
from nas.importance import Importance
from nas.search.adopting import Adopting, Learnt
from nas.search.problem import Problem
from nas.search.search import Search
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.space import SearchSpace
from nas.supernets import Supernet
from nas.training import Epoch, History
from nas.training.workplace import Workplace

Scores = Mapping[str, np.ndarray]
"""Axis -> scores of its units, descending (float, units)."""


CRITERION = Plugged("importance", importance.names, importance.find)
CriterionOptions = Annotated[str | Mapping[str, Any], CRITERION, AfterValidator(partial(checked, plugged=CRITERION))]
"""A criterion's name, or a mapping with `use:` and its options."""


def criterion_of(options: str | Mapping[str, Any]) -> Importance:
    """The criterion that options describe. Raises `ConfigError` if they are wrong."""
    return plugin_of(options, CRITERION)


def _some(
    options: CriterionOptions | Sequence[CriterionOptions],
) -> CriterionOptions | Sequence[CriterionOptions]:
    if not options:
        raise ValueError("an empty list; allowed: at least one criterion")
    return options


@dataclass(frozen=True, kw_only=True)
class Sizing(Adopting):
    """Scores the units of a copy of the supernet by `importance`, puts them in that order, and decides the sizes.

    One trial: the architecture that follows from the scores. Criteria that train (l1_gates) train the copy, which the
    run adopts: the winner is extracted from it, with the gates folded into its weights.

    importance   a criterion's name, or a mapping with `use:` and its options; or several, applied one after the other,
                 each to the axes that it scores
    normalise    divide the scores of each axis by their mean, for criteria whose scale differs from layer to layer
    """

    importance: Annotated[CriterionOptions | Sequence[CriterionOptions], AfterValidator(_some)] = "magnitude"
    normalise: bool = False

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"importance": {"use": "magnitude"}, "normalise": True},
        {"importance": {"use": "taylor", "images": 32, "batch": 16}},
        {"importance": {"use": "l1_gates", "training": {"epochs": 2, "batch": 16}}},
        {"importance": {"use": "l1_gates", "where": "consumed", "training": {"epochs": 2, "batch": 16}}},
    )

    def check(self, problem: Problem) -> None:
        """Raise `StrategyError` when a criterion has nothing to score in the space, or workers nothing to train."""
        criteria = self.criteria()
        for criterion in criteria:
            criterion.check(problem.space)
        if self.workers > 1 and not any(criterion.trains for criterion in criteria):
            raise StrategyError(
                f"{problem.strategy}: workers: found {self.workers}, but its importance trains nothing; allowed: 1, or "
                "importance: {use: l1_gates}"
            )

    def criteria(self) -> list[Importance]:
        """The criteria, in the order in which they are applied."""
        several = [self.importance] if isinstance(self.importance, str | Mapping) else self.importance
        return [criterion_of(options) for options in several]

    @abstractmethod
    def size(self, problem: Problem, scores: Scores) -> Architecture:
        """The architecture, within the limit, for these scores. Raises `StrategyError` when there is none."""

    @override
    def learn(self, search: Search, supernet: Supernet) -> Learnt:
        assert search.work is not None
        scores: dict[str, Tensor] = {}
        epochs: list[Epoch] = []
        for position, criterion in enumerate(self.criteria()):
            ranked = criterion.apply(supernet, _beside(search.work, position))
            scores |= ranked.scores
            epochs += ranked.history
        # Each criterion counts its epochs from 1; the history of all of them counts on.
        numbered = [replace(epoch, epoch=number) for number, epoch in enumerate(epochs, start=1)]
        return Learnt(self.choose(search.problem, scores), History(tuple(numbered)))

    def choose(self, problem: Problem, scores: Mapping[str, Tensor]) -> Architecture:
        """The architecture for sorted scores as `Importance.apply` returns them. Raises `StrategyError` for none."""
        if not scores:
            used = ", ".join(type(criterion).__name__.lower() for criterion in self.criteria())
            raise StrategyError(f"{problem.strategy}: importance '{used}' scores no axis that the space chooses")
        return self.size(problem, {axis: self._comparable(values) for axis, values in scores.items()})

    def _comparable(self, values: Tensor) -> np.ndarray:
        array = values.detach().cpu().double().numpy()
        return array / max(float(np.abs(array).mean()), 1e-30) if self.normalise else array


def _beside(work: Workplace, position: int) -> Workplace:
    """The workplace of the criterion at a position: a checkpoint of its own, the first one's without a number."""
    if not position or work.runtime.checkpoint is None:
        return work
    path = work.runtime.checkpoint
    own = path.with_name(f"{path.stem}-{position}{path.suffix}")
    return replace(work, runtime=replace(work.runtime, checkpoint=own))


def scored(space: SearchSpace, scores: Scores) -> dict[int, tuple[str, ...]]:
    """Position of each choice whose axes all have scores -> those axes. The others stay whole."""
    return {
        position: choice.axes
        for position, choice in enumerate(space.values())
        if all(axis in scores for axis in choice.axes)
    }
