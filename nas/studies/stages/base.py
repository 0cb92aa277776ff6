"""base: the whole model, trained, or started from pretrained weights or a checkpoint."""

from __future__ import annotations

from pathlib import Path

from nas.evaluation import Watch, evaluate
from nas.studies.run.results import BASE, BaseResult, epochs_of
from nas.studies.run.weights import WEIGHTS, save_weights
from nas.studies.stages.workshop import CHECKPOINT, Workshop
from nas.supernets.checkpoint import load_weights as load_checkpoint
from nas.training import PlainStep


def run(workshop: Workshop) -> BaseResult:
    """Trains with the task's own loss; the weights are kept in the stage's folder."""
    config, folder = workshop.config, workshop.folder.stage(BASE.name)
    model = workshop.new_model()
    if config.base.checkpoint:
        load_checkpoint(model, Path(config.base.checkpoint))
    split, task = workshop.data.validation, workshop.task
    runtime = workshop.training("base", folder / CHECKPOINT, Watch(split, task))
    history = workshop.fit(BASE, model, PlainStep(), runtime)
    evaluation = evaluate(model.to(workshop.device), split, task, device=workshop.device)
    save_weights(folder / WEIGHTS, model)
    return BaseResult(history=epochs_of(history), validation=evaluation.metrics)
