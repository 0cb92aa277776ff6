"""base: the whole model, trained, or started from pretrained weights or a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.evaluation import Watch, accuracy
from nas.studies.run.weights import save_weights
from nas.studies.stages.workshop import CHECKPOINT, WEIGHTS, Workshop
from nas.supernets.checkpoint import load_weights as load_checkpoint
from nas.training import PlainStep


def run(workshop: Workshop) -> dict[str, Any]:
    """Trains with plain cross-entropy; the weights are kept in the stage's folder."""
    config, place = workshop.config, workshop.folder.stage("base")
    model = workshop.new_model()
    if config.base.checkpoint:
        load_checkpoint(model, Path(config.base.checkpoint))
    split = workshop.data.validation
    watch = workshop.training("base", place / CHECKPOINT, Watch(split))
    history = workshop.fit("base", model, PlainStep(), watch)
    found = accuracy(model.to(workshop.device), split, device=workshop.device)
    save_weights(place / WEIGHTS, model)
    return {"history": history.rows(), "validation": found.metrics}
