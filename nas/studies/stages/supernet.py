"""supernet: the base model becomes a supernet, its units are put in order of importance, and its sub-networks learn
together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import nn

from nas.data import Split
from nas.evaluation import Evaluator
from nas.studies.run.results import SMALLEST, SUPERNET, SupernetResult, epochs_of
from nas.studies.stages.workshop import CHECKPOINT, ORDERING, Workshop
from nas.supernets import Supernet
from nas.tasks import Task


def run(workshop: Workshop) -> SupernetResult:
    """Trains by the study's rule; weights and remembered orders are kept in the stage's folder.

    Trials of this run that are in the store were measured on other weights, and are deleted.
    """
    config, folder = workshop.config, workshop.folder.stage(SUPERNET.name)
    with workshop.store() as store:
        store.clear(workshop.run_id)
    supernet = Supernet(workshop.base_model(), workshop.space)
    work = workshop.workplace(SUPERNET, "importance", folder / ORDERING)
    ordered = workshop.study.importance.apply(supernet, work)
    ends = Ends(workshop.data.validation, workshop.task, workshop.config.eval_batch)
    runtime = workshop.training("supernet", folder / CHECKPOINT, ends)
    limit = workshop.limit if config.supernet.within_limit else None
    step = workshop.study.rule.step(workshop.space, limit, workshop.cost)
    history = workshop.fit(SUPERNET, supernet, step, runtime)
    validation = ends(supernet)
    workshop.supernets.keep(SUPERNET, supernet)
    return SupernetResult(history=epochs_of(history), validation=validation, importance=epochs_of(ordered.history))


@final
@dataclass(frozen=True)
class Ends:
    """The task's first metric, of the largest and of the smallest sub-network on a split."""

    split: Split
    task: Task
    batch: int

    def __call__(self, supernet: nn.Module) -> dict[str, float]:
        """For `nas.training.Runtime.evaluate`."""
        assert isinstance(supernet, Supernet)
        device = next(supernet.parameters()).device
        evaluator = Evaluator(supernet, self.split, self.task, device=device, batch=self.batch, reuse=0)
        space, metric = supernet.space, self.task.metrics[0].name
        largest, smallest = (evaluator(end).metrics[metric] for end in (space.largest, space.smallest))
        return {metric: largest, SMALLEST: smallest}
