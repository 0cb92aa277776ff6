"""From a study file to everything it names: settings, space, strategy, importance, rule, task; all faults of all its
files at once.

What a field is (a plug-in, a file, a URL ...) is said by the markers on it, see `nas.documents.markers`: nothing here
knows an option of a strategy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, final

from nas.documents.document import TEXT, Document, attempt, in_order, read
from nas.documents.lookup import Lookup
from nas.documents.plugged import plugin
from nas.errors import ConfigError
from nas.importance import Importance
from nas.search import Strategy, Trial
from nas.searchspaces import Limit, SearchSpace
from nas.studies.file.amounts import amount_faults
from nas.studies.file.checks import misnamed, unfit
from nas.studies.file.config import IMPORTANCE, RULE, STRATEGY, TASK, StudyConfig, SupernetSpec
from nas.studies.file.paths import absolute
from nas.studies.file.presets import overridden, pairs
from nas.studies.file.settings import settings
from nas.studies.file.subject import facts_of, limit_of, space_of
from nas.studies.run.prior import priors
from nas.supernets import Cost
from nas.supernets.of_space import cost_of
from nas.tasks import Facts, Task
from nas.training.rules import SupernetRule


@final
@dataclass(frozen=True)
class Resolved:
    """A study with all that it names. `settings` is the whole of it as plain data, every default written out."""

    config: StudyConfig
    settings: Mapping[str, Any]
    space: SearchSpace
    cost: Cost
    limit: Limit | None
    strategy: Strategy
    importance: Importance
    rule: SupernetRule
    task: Task
    facts: Facts
    prior: Sequence[Trial] = ()


def resolve(
    path_or_text: str | Path, overrides: Sequence[str] | Mapping[str, str] = (), *, finished: Collection[str] = ()
) -> Resolved:
    """Reads a study file (or text), changed by `overrides` ("strategy.trials=50"). What only `finished` stages read, of
    files and of earlier runs, may be gone.

    Raises `ConfigError` with every fault of the study, of the files it names, of its model, data and limit.
    """
    document = read(path_or_text)
    lookup = Lookup.of(document)
    document = overridden(document, pairs(overrides), lookup)
    document, faults = absolute(_titled(document), lookup, finished)

    # Each part is read by itself, so that a fault of one does not hide those of the others.
    config, wrong = attempt(document, StudyConfig)
    faults += [*document.faults, *wrong, *misnamed(document)]
    strategy, wrong = plugin(document, ("strategy",), STRATEGY)
    faults += wrong
    rule, wrong = plugin(document, ("supernet", "rule"), RULE, default=str(SupernetSpec.rule))
    faults += wrong
    criterion, wrong = plugin(document, ("importance",), IMPORTANCE, default=str(StudyConfig.importance))
    faults += wrong
    task, wrong = plugin(document, ("task",), TASK, default=str(StudyConfig.task))
    faults += [*wrong, *amount_faults(document, task)]

    # From here on a part needs what came before: the space its data, the costs their space, the checks all of it.
    facts = facts_of(document, faults)
    space = space_of(document, facts, task, faults)
    cost = cost_of(space) if facts and space else None
    limit = limit_of(document, cost, faults) if cost else None
    if config and task and not config.objectives:
        config = replace(config, objectives=_default_objective(task))
    if config and strategy and criterion and space and not faults:
        faults += unfit(document, config, strategy, criterion, space, limit)
    if faults:
        raise ConfigError(in_order(dict.fromkeys(faults)))
    assert config is not None
    assert strategy is not None
    assert rule is not None
    assert criterion is not None
    assert task is not None
    assert facts is not None
    assert space is not None
    assert cost is not None
    plain = settings(config, strategy, rule, criterion, task)
    prior = [] if "prepare" in finished else priors(document, config.warm_start, space, cost, limit)
    return Resolved(config, plain, space, cost, limit, strategy, criterion, rule, task, facts, prior)


def _titled(document: Document) -> Document:
    """The study with a name: without one, that of its file."""
    if not isinstance(document.data, dict) or document.data.get("name") is not None:
        return document
    return document.replaced(("name",), StudyConfig.name if document.name == TEXT else Path(document.name).stem)


def _default_objective(task: Task) -> dict[str, Literal["max", "min"]]:
    """The task's first metric, in its better direction."""
    first = task.metrics[0]
    return {first.name: "max" if first.maximise else "min"}
