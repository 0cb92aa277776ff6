"""Generations of NSGA-II and III, kept while trials come in.

Optuna looks for them in all trials at each ask, and notes them in the study: a replay takes time quadratic in their
number. What is kept here is the same to the last tie: the same trials get the same proposals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar, final

from optuna.samplers import BaseGASampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

S = TypeVar("S", bound=BaseGASampler)


@final
class Generations:
    """Which trials belong to which generation, and who are the parents of each."""

    def __init__(self, size: int) -> None:
        """A generation is full when so many of it are done."""
        self._size = size
        self._of: dict[int, int] = {}
        """Optuna's number of a trial -> its generation."""
        self._last = 0
        """The last generation of which a trial is done."""
        self._done: dict[int, list[FrozenTrial]] = {}
        self._parents: dict[int, list[FrozenTrial]] = {0: []}

    def of(self, number: int) -> int:
        """The generation of a trial. A new one goes to the last, or to the next where that is full."""
        if number not in self._of:
            full = len(self._done.get(self._last, ())) >= self._size
            self._of[number] = self._last + 1 if full else self._last
        return self._of[number]

    def done(self, generation: int) -> list[FrozenTrial]:
        """Those of a generation that are done, by their numbers."""
        return sorted(self._done.get(generation, []), key=lambda trial: trial.number)

    def learn(self, trial: FrozenTrial) -> None:
        """What came of a trial."""
        generation = self._of.get(trial.number)
        if generation is not None and trial.state == TrialState.COMPLETE:
            self._done.setdefault(generation, []).append(trial)
            self._last = max(self._last, generation)

    def begun(self, generation: int) -> bool:
        """Whether its parents are chosen."""
        return generation in self._parents

    def parents(self, generation: int, choose: Callable[[], list[FrozenTrial]]) -> list[FrozenTrial]:
        """Of a generation. They are chosen for its first child, which gets them in the order of the choice, the others
        by their numbers: that is how Optuna gives them.
        """
        if generation in self._parents:
            return self._parents[generation]
        parents = choose()
        self._parents[generation] = sorted(parents, key=lambda trial: trial.number)
        return parents

    def kept_by(self, kind: type[S]) -> type[S]:
        """A sampler's class that asks these generations in place of the study."""
        return type(kind.__name__, (_Keeper, kind), {"generations": self})


class _Keeper(BaseGASampler):
    """What Optuna's genetic samplers ask for."""

    generations: ClassVar[Generations]

    @override
    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        return self.generations.of(trial.number)

    @override
    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        return self.generations.done(generation)

    @override
    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        return self.generations.parents(generation, lambda: self.select_parent(study, generation))
