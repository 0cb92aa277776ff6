"""base: the whole model, trained, or started from pretrained weights or a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.studies.session import CHECKPOINT, WEIGHTS, Session
from nas.studies.weights import save_weights
from nas.supernets.checkpoint import load_weights as load_checkpoint
from nas.training import PlainStep, Watch, accuracy


def run(session: Session) -> dict[str, Any]:
    """Trains with plain cross-entropy; the weights are kept in the stage's folder."""
    config, place = session.config, session.folder.stage("base")
    model = session.new_model()
    if config.base.checkpoint:
        load_checkpoint(model, Path(config.base.checkpoint))
    split = session.data.validation
    watch = session.training("base", place / CHECKPOINT, Watch(split))
    history = session.fit("base", model, PlainStep(), watch)
    found = accuracy(model.to(session.device), split, device=session.device)
    save_weights(place / WEIGHTS, model)
    return {"history": history.rows(), "validation": found.metrics}
