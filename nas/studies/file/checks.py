"""What a study asks for that cannot be done with its space, limit and objectives; known before anything trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from nas.documents.document import Document
from nas.errors import ClusterError, Fault, StoreError, StrategyError
from nas.importance import Importance
from nas.search import Objective, Problem, Strategy
from nas.searchspaces import Limit, SearchSpace
from nas.studies.file.config import BASELINE, StudyConfig


def misnamed(document: Document) -> list[Fault]:
    """A strategy's `name` stands beside its trials; the baseline's is taken."""
    name, use = document.get(("strategy", "name")), document.get(("strategy", "use"))
    if name is None or (isinstance(name, str) and name and (name != BASELINE or use == BASELINE)):
        return []
    return [
        document.fault(("strategy", "name"), f"'{name}'", f"text other than '{BASELINE}', the name of the baseline")
    ]


def unfit(
    document: Document,
    config: StudyConfig,
    strategy: Strategy,
    criterion: Importance,
    space: SearchSpace,
    limit: Limit | None,
) -> list[Fault]:
    """What the strategy or the criterion refuses."""
    problem = _problem(config, strategy, space, limit)
    checks: dict[str, Callable[[], None]] = {
        "strategy": lambda: strategy.check(problem),
        "importance": lambda: criterion.check(space),
    }
    faults = []
    for key, check in checks.items():
        try:
            check()
        except (ClusterError, StrategyError, StoreError) as refusal:
            faults.append(document.refused((key,), refusal, "what fits the space, the limit and the objectives"))
    return faults


def _problem(config: StudyConfig, strategy: Strategy, space: SearchSpace, limit: Limit | None) -> Problem:
    """The problem as the strategy will see it, but for what measures."""

    def never(*_: object) -> NoReturn:
        raise AssertionError("checking measures nothing")

    return Problem(
        space=space,
        objectives=tuple(Objective(metric, way == "max") for metric, way in config.objectives.items()),
        strategy=config.strategy_name,
        seed=config.seed,
        trials=strategy.trials,
        measure=never,
        costs=never,
        record=never,
        limit=limit,
    )
