"""From a study file to everything it names: settings, space, strategy, importance, rule, task; all faults of all its
files at once.

What a field is (a plug-in, a file, a URL ...) is said by the markers on it, see `nas.documents.markers`: nothing here
knows an option of a strategy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, final

from nas.data import Listing
from nas.data.transforms import AUGMENTATION
from nas.documents.document import TEXT, Document, attempt, in_order, pairs, read
from nas.documents.fields import marked
from nas.documents.lookup import Lookup
from nas.documents.markers import Formerly, Plugged
from nas.documents.plugged import deepened, read_plugin
from nas.documents.ties import untied
from nas.errors import ConfigError, Fault
from nas.importance import Importance
from nas.latency.table import LatencyTable
from nas.preprocessing import ImageSize
from nas.ready_made import named
from nas.search import Strategy, Trial
from nas.searchspaces import Limit, SearchSpace
from nas.studies.file.amounts import idle_bounds
from nas.studies.file.checks import (
    in_no_parts,
    incomparable,
    misstated,
    of_no_part,
    too_gradual,
    unfit,
    untrained_finalists,
)
from nas.studies.file.config import (
    BASELINE_TRIALS,
    IMPORTANCE,
    RECIPES,
    RULE,
    STRATEGY,
    TASK,
    RetrainSpec,
    StudyConfig,
    SupernetSpec,
)
from nas.studies.file.paths import absolute
from nas.studies.file.presets import overridden
from nas.studies.file.settings import settings
from nas.studies.file.subject import Kept, subject_of
from nas.studies.file.tables import KeptTables
from nas.studies.file.unteachable import unteachable
from nas.studies.run.folder import RunFolder
from nas.studies.run.prior import priors
from nas.studies.run.results import PREPARE
from nas.supernets import Cost
from nas.supernets.of_space import image_size_of
from nas.tasks import Facts, Task
from nas.training.optimiser_options import OPTIMIZER
from nas.training.rules import SupernetRule
from nas.training.schedule import SCHEDULE
from nas.trusted import trust_code

INSIDE_RECIPES: Mapping[str, Plugged[Any]] = {"augment": AUGMENTATION, "optimizer": OPTIMIZER, "schedule": SCHEDULE}
"""Plug-ins that a recipe makes when it is used: a study's reader tells their faults option by option."""


@final
@dataclass(frozen=True)
class Resolved:
    """A study with all that it names. `settings` is the whole of it as plain data, every default written out;
    `document` is what it was read from.
    """

    document: Document
    config: StudyConfig
    settings: Mapping[str, Any]
    space: SearchSpace
    cost: Cost
    limit: Limit | None
    strategy: Strategy
    importance: Importance
    reordering: Importance
    """Of the units of a block, before a gradual retraining cuts it."""
    rule: SupernetRule
    task: Task
    facts: Facts | None
    """None where the data are not here, see `resolve`."""
    listing: Listing | None
    """Of the data, where it is a set of pictures."""
    tables: Mapping[str, LatencyTable]
    """Quantity ("latency", "latency.phone") -> the table that tells it."""
    prior: Sequence[Trial] = ()

    @property
    def image_size(self) -> ImageSize:
        """Pixels to which images are resized: what the study says, else the model's own input."""
        return self.config.data.image_size or image_size_of(self.space)

    @property
    def baseline_trials(self) -> int:
        """Trials of the uniform baseline: see `StudyConfig`."""
        if self.config.baseline is not None:
            return self.config.baseline
        return max(self.strategy.trials, BASELINE_TRIALS if self.strategy.needs_supernet else 1)

    @property
    def competing(self) -> int:
        """Most finalists that compete before a winner is named, see `StudyConfig`; 0 where the best trial wins."""
        first = next(iter(self.config.objectives))
        measured = first in {metric.name for metric in self.task.metrics}
        compete = self.limit is not None and self.config.retrain.epochs and self.strategy.competes and measured
        return self.config.finalists if compete and self.config.finalists > 1 else 0

    def check(self) -> None:
        """Raises `ConfigError` for what the strategy or the criterion refuses: before a study runs, not where it is
        only read, since a strategy connects to its cluster and its storage. Checked once is enough.
        """
        if self._unfit:
            raise ConfigError(self._unfit)

    @cached_property
    def _unfit(self) -> list[Fault]:
        return unfit(self.document, self.config, self.strategy, self.importance, self.space, self.limit)


def resolve(
    study: str | Path | Document,
    overrides: Sequence[str] | Mapping[str, str] = (),
    *,
    finished: Collection[str] | None = None,
    trust: bool = False,
    folder: Path | None = None,
    without_files: bool = False,
) -> Resolved:
    """Reads a study file (or text, or a document), changed by `overrides` ("strategy.trials=50"). What only `finished`
    stages read, of files and of earlier runs, may be gone; None stands for a study that is not a run's own. With
    `trust`, the trials of earlier runs may lie on hosts that their folders name. `folder`: of the run, by default where
    the file says; what was listed of its images need not be listed anew. `without_files` reads a study whose images and
    weights need not be here, to be shown, not run: then the model has the classes and channels that the space gives it.

    Raises `ConfigError` with every fault of the study, of the files it names, of its model, data and limit.
    """
    document = study if isinstance(study, Document) else read(named(study, "studies") or study)
    lookup = Lookup.beside(document.name)
    document = overridden(document, pairs(overrides), lookup)
    document = _of_user(document) if finished is None else _as_begun(document, trust)
    document, faults = absolute(_titled(document), lookup, RECIPES if without_files else finished or ())

    # Each part is read by itself, so that a fault of one does not hide those of the others.
    config, wrong = attempt(document, StudyConfig)
    for stage in RECIPES:
        for key, plugged in INSIDE_RECIPES.items():
            wrong = deepened(document, (stage, key), plugged, wrong)
    faults += [*document.faults, *wrong]
    strategy, wrong = read_plugin(document, ("strategy",), STRATEGY)
    faults += wrong
    rule, wrong = read_plugin(document, ("supernet", "rule"), RULE, default=str(SupernetSpec.rule))
    faults += wrong
    criterion, wrong = read_plugin(document, ("importance",), IMPORTANCE, default=str(StudyConfig.importance))
    faults += wrong
    reordering, wrong = read_plugin(
        document, ("retrain", "importance"), IMPORTANCE, default=str(RetrainSpec.importance)
    )
    faults += wrong
    task, wrong = read_plugin(document, ("task",), TASK, default=str(StudyConfig.task))
    faults += [*wrong, *misstated(document, task)]
    kept = Kept() if config is None else _kept(config, folder)
    subject, wrong = subject_of(document, task, kept, without_files=without_files)
    faults += wrong
    # What a run was begun with is not questioned again: versions before this one let it begin.
    if finished is None:
        faults += untied(document, StudyConfig, {fault.key for fault in faults})
        faults += idle_bounds(document)
        if config and reordering and subject:
            faults += too_gradual(document, config.retrain, reordering, subject.space)
        if config and subject:
            faults += of_no_part(document, config, subject.cost)
        if config and task and rule and strategy:
            faults += incomparable(document, config, task, rule, strategy)
            faults += in_no_parts(document, config, task, strategy)
            faults += untrained_finalists(document, config, task)
            faults += unteachable(document, config, task, None if subject is None else subject.facts)

    if config and task and not config.objectives:
        config = replace(config, objectives=_default_objective(task))
    if faults:
        raise ConfigError(in_order(_told_once(faults)))
    assert config is not None
    assert strategy is not None
    assert rule is not None
    assert criterion is not None
    assert reordering is not None
    assert task is not None
    assert subject is not None
    space, cost, limit = subject.space, subject.cost, subject.limit
    prepared = "prepare" in (finished or ())
    prior = [] if prepared else priors(document, config.warm_start, space, cost, limit, trust=trust)
    return Resolved(
        document=document,
        config=config,
        settings=settings(config, strategy, rule, criterion, reordering, task),
        space=space,
        cost=cost,
        limit=limit,
        strategy=strategy,
        importance=criterion,
        reordering=reordering,
        rule=rule,
        task=task,
        facts=subject.facts,
        listing=subject.listing,
        tables=subject.tables,
        prior=prior,
    )


def _kept(config: StudyConfig, folder: Path | None) -> Kept:
    """What a run has kept that was prepared."""
    run = RunFolder(folder or config.run_folder)
    if not run.done(PREPARE):
        return Kept()
    return Kept(run.index, KeptTables(run.latency_table, run.other_tables))


def _told_once(faults: Sequence[Fault]) -> list[Fault]:
    """The faults but for what follows from an earlier one: a value that cannot be read is refused again, maybe with the
    whole mapping that it is in, by all that would use it.
    """
    kept: list[Fault] = []
    for fault in faults:
        same = any((other.where, other.key) == (fault.where, fault.key) for other in kept)
        if not same and not any(other.key.startswith(f"{fault.key}.") for other in kept):
            kept.append(fault)
    return kept


def _of_user(document: Document) -> Document:
    """A study that the user named, and so the model in it."""
    trust_code(document.get(("space", "model")))
    return document


def _as_begun(document: Document, trust: bool) -> Document:
    """A run's own settings, with what it was begun without as it formerly was."""
    if trust:
        document = _of_user(document)
    for path, marker in marked(StudyConfig, document.data):
        if isinstance(marker, Formerly) and isinstance(document.data, dict) and path[0] not in document.data:
            document = document.replaced(path, marker.value)
    return document


def _titled(document: Document) -> Document:
    """The study with a name: without one, that of its file."""
    if not isinstance(document.data, dict) or document.data.get("name") is not None:
        return document
    return document.replaced(("name",), StudyConfig.name if document.name == TEXT else Path(document.name).stem)


def _default_objective(task: Task) -> dict[str, Literal["max", "min"]]:
    """The task's first metric, in its better direction."""
    first = task.metrics[0]
    return {first.name: "max" if first.maximise else "min"}
