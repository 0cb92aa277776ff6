"""supernet: the base model becomes a supernet, its units are put in order of importance, and its sub-networks learn
together.
"""

from __future__ import annotations

from typing import Any

from nas.studies.session import CHECKPOINT, ORDERING, Session
from nas.supernets import Supernet
from nas.training import Evaluator, fit


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
    evaluator = Evaluator(supernet, session.data.validation, device=session.device, reuse=0)
    watch = session.training("supernet", place / CHECKPOINT, lambda _: _ends(supernet, evaluator))
    step = session.study.rule.step(session.space, session.limit if config.supernet.within_limit else None)
    history = fit(supernet, step, session.data, config.supernet, seed=config.seed, session=watch)
    found = _ends(supernet, evaluator)
    session.save_supernet("supernet", supernet)
    return {"history": history.rows(), "validation": found, "importance": ordered.history.rows()}


def _ends(supernet: Supernet, evaluator: Evaluator) -> dict[str, float]:
    """Validation accuracy of the largest and of the smallest sub-network."""
    space = supernet.space
    return {"accuracy": evaluator(space.largest).accuracy, "smallest": evaluator(space.smallest).accuracy}
