"""supernet: the base model becomes a supernet, its units are put in order of importance, and its sub-networks learn
together.
"""

from __future__ import annotations

from typing import Any

from nas.studies.folder import write_json
from nas.studies.session import CHECKPOINT, WEIGHTS, Session
from nas.studies.weights import save_weights
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
    batches = session.data.train.batches(config.supernet.batch, device=session.device)
    supernet.reorder(session.study.importance.scores(supernet, batches))
    evaluator = Evaluator(supernet, session.data.validation, device=session.device)
    watch = session.training("supernet", place / CHECKPOINT, lambda _: _ends(supernet, evaluator))
    step = session.study.rule.step(session.space, session.limit if config.supernet.within_limit else None)
    history = fit(supernet, step, session.data, config.supernet, seed=config.seed, session=watch)
    found = _ends(supernet, evaluator)
    write_json(place / "selection.json", supernet.selection.state())
    save_weights(place / WEIGHTS, supernet)
    return {"history": history.rows(), "validation": found}


def _ends(supernet: Supernet, evaluator: Evaluator) -> dict[str, float]:
    """Validation accuracy of the largest and of the smallest sub-network."""
    space = supernet.space
    return {"accuracy": evaluator(space.largest).accuracy, "smallest": evaluator(space.smallest).accuracy}
