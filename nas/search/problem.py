"""`Problem`: what a strategy is asked to find, as plain data. What is measured meanwhile is in a `Search`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from nas.errors import StrategyError
from nas.search.trial import Trial
from nas.searchspaces.architecture import Architecture

if TYPE_CHECKING:
    from nas.searchspaces.limit import Limit
    from nas.searchspaces.space import SearchSpace


@final
@dataclass(frozen=True)
class Objective:
    """A metric or a cost by its name, and whether more of it is better."""

    metric: str
    maximise: bool


@final
@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is asked. It is known before anything is measured, and nothing of it changes while a strategy searches.

    space        the architectures that may be proposed
    objectives   what is wanted of them; the first one decides who wins
    strategy     the name of who searches, for its trials and for messages
    seed         of all random numbers
    trials       the budget: how many architectures may be proposed, repeated ones included
    limit        bounds on the costs of what is proposed; None for no bounds
    prior        trials of earlier runs, measured on other weights. A strategy may learn from them before its first
                 proposal; they are not of its history
    run          the name of the run, where several meet in one place
    """

    space: SearchSpace
    objectives: tuple[Objective, ...]
    strategy: str
    seed: int
    trials: int
    limit: Limit | None = None
    prior: Sequence[Trial] = ()
    run: str = ""

    def __post_init__(self) -> None:
        assert self.objectives, "a problem needs an objective"

    def allows(self, architecture: Architecture) -> bool:
        """Whether the architecture is within the limit, if there is one."""
        return self.limit is None or bool(self.limit.allows(architecture))

    def require_one_objective(self, reason: str) -> None:
        """Raise `StrategyError` where there are several, for which there is a `reason`."""
        if len(self.objectives) > 1:
            names = ", ".join(objective.metric for objective in self.objectives)
            raise StrategyError(
                f"{self.strategy}: found {len(self.objectives)} objectives ({names}); {reason}, such as objectives: "
                "{accuracy: max}"
            )

    def rng(self, number: int) -> np.random.Generator:
        """The random generator of trial `number`: the same in every process, whatever was drawn before."""
        return np.random.default_rng((self.seed, number))
