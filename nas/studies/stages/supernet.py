"""supernet: the base model becomes a supernet, its units are put in order of importance, and its sub-networks learn
together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from torch import nn

from nas.data import Split
from nas.evaluation import Evaluator
from nas.studies.stages.workshop import CHECKPOINT, ORDERING, Workshop
from nas.supernets import Supernet


def run(workshop: Workshop) -> dict[str, Any]:
    """Trains by the study's rule; weights and remembered orders are kept in the stage's folder.

    Trials of this run that are in the store were measured on other weights, and are deleted.
    """
    config, place = workshop.config, workshop.folder.stage("supernet")
    with workshop.store() as store:
        store.clear(workshop.run_id)
    supernet = Supernet(workshop.base_model(), workshop.space)
    work = workshop.workplace("importance", place / ORDERING)
    ordered = workshop.study.importance.apply(supernet, work)
    ends = Ends(workshop.data.validation)
    watch = workshop.training("supernet", place / CHECKPOINT, ends)
    step = workshop.study.rule.step(workshop.space, workshop.limit if config.supernet.within_limit else None)
    history = workshop.fit("supernet", supernet, step, watch)
    found = ends(supernet)
    workshop.save_supernet("supernet", supernet)
    return {"history": history.rows(), "validation": found, "importance": ordered.history.rows()}


@final
@dataclass(frozen=True)
class Ends:
    """Accuracy of the largest and of the smallest sub-network on a split."""

    split: Split

    def __call__(self, supernet: nn.Module) -> dict[str, float]:
        """See `nas.training.Runtime.evaluate`."""
        assert isinstance(supernet, Supernet)
        evaluator = Evaluator(supernet, self.split, device=next(supernet.parameters()).device, reuse=0)
        space = supernet.space
        return {"accuracy": evaluator(space.largest).accuracy, "smallest": evaluator(space.smallest).accuracy}
