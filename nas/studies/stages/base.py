"""base: the whole model, trained, or started from pretrained weights or a checkpoint."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from nas.errors import CheckpointError
from nas.studies.run.results import BASE, BaseResult, epochs_of
from nas.studies.run.weights import WEIGHTS, save_weights
from nas.studies.stages.workshop import CHECKPOINT, Workshop
from nas.supernets.checkpoint import load_weights as load_checkpoint
from nas.supernets.finite import not_finite
from nas.training import PlainStep


def run(workshop: Workshop) -> BaseResult:
    """Trains with the task's own loss; the weights are kept in the stage's folder."""
    folder = workshop.folder.stage(BASE.name)
    model, notes = start(workshop)
    runtime = workshop.training("base", folder / CHECKPOINT, workshop.watch())
    history = workshop.fit(BASE, model, PlainStep(), runtime)
    evaluation = workshop.evaluation(model.to(workshop.device))
    save_weights(workshop.place(BASE) / WEIGHTS, model)
    return BaseResult(
        history=epochs_of(history), validation=evaluation.metrics, notes=[f"base.checkpoint: {note}" for note in notes]
    )


def start(workshop: Workshop) -> tuple[nn.Module, list[str]]:
    """The whole model before it is trained, and what a user should know of its weights. Raises `CheckpointError` for
    weights that are not of it, or no numbers.
    """
    checkpoint, model = workshop.config.base.checkpoint, workshop.new_model()
    notes = list(load_checkpoint(model, Path(checkpoint))) if checkpoint else []
    if checkpoint and workshop.constants is None:
        notes.append("no config.json with a pretrained_cfg beside it: images are prepared as if it were new")
    if broken := not_finite(model.state_dict()):
        raise CheckpointError(
            f"timm's pretrained weights of {workshop.space.model}: {broken}; delete them from its cache"
        )
    return model, notes
