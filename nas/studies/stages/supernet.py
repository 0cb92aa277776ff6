"""supernet: the base model becomes a supernet, its units are put in order of importance, and its sub-networks learn
together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from torch import nn

from nas.studies.session import CHECKPOINT, ORDERING, Session
from nas.supernets import Supernet
from nas.training import Evaluator, Split


def run(session: Session) -> dict[str, Any]:
    """Trains by the study's rule; weights and remembered orders are kept in the stage's folder.

    Trials of this run that are in the store were measured on other weights, and are deleted.
    """
    config, place = session.config, session.folder.stage("supernet")
    with session.store() as store:
        store.clear(session.run_id)
    supernet = Supernet(session.base_model(), session.space)
    work = session.workplace("importance", place / ORDERING)
    ordered = session.study.importance.apply(supernet, work)
    ends = Ends(session.data.validation)
    watch = session.training("supernet", place / CHECKPOINT, ends)
    step = session.study.rule.step(session.space, session.limit if config.supernet.within_limit else None)
    history = session.fit("supernet", supernet, step, watch)
    found = ends(supernet)
    session.save_supernet("supernet", supernet)
    return {"history": history.rows(), "validation": found, "importance": ordered.history.rows()}


@final
@dataclass(frozen=True)
class Ends:
    """Accuracy of the largest and of the smallest sub-network on a split."""

    split: Split

    def __call__(self, supernet: nn.Module) -> dict[str, float]:
        """See `nas.training.Session.evaluate`."""
        assert isinstance(supernet, Supernet)
        evaluator = Evaluator(supernet, self.split, device=next(supernet.parameters()).device, reuse=0)
        space = supernet.space
        return {"accuracy": evaluator(space.largest).accuracy, "smallest": evaluator(space.smallest).accuracy}
