"""extract: the winners as plain modules in folders of their own, and the proof on real images that they are what was
searched.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from nas.data import Data
from nas.searchspaces import Architecture
from nas.searchspaces.axis_names import dimension, is_rank
from nas.studies.run.folder import replaced_folder
from nas.studies.run.results import EXTRACT, ExtractResult
from nas.studies.run.rows import UNIFORM, WINNER, ExtractedResult
from nas.studies.stages.workshop import Workshop
from nas.supernets import Supernet, load, save

IMAGES = 256
"""Validation images on which the extracted model is compared with the supernet, at most."""
TOLERANCE = 1e-3
"""Greatest difference between outputs that factored matrices, or a GPU's choice of kernels, can explain."""


def run(workshop: Workshop) -> ExtractResult:
    """Extracts the winner of the strategy and of the uniform baseline, each from the supernet it was measured on."""
    folder = workshop.folder.stage(EXTRACT.name)
    models = {
        role: extract(workshop, workshop.supernets.of(best.strategy), Architecture(best.architecture), folder / role)
        for role, best in workshop.folder.roles().items()
    }
    return ExtractResult(winner=models[WINNER], uniform=models.get(UNIFORM))


def extract(workshop: Workshop, supernet: Supernet, architecture: Architecture, folder: Path) -> ExtractedResult:
    """Writes one architecture to `folder`, reads it back, and compares what was read with the supernet."""
    costs = workshop.cost.counts(architecture)
    workshop.check_lease()
    with replaced_folder(folder) as partial:
        about = {**costs, "retrained": False}
        save(partial, supernet.extract(architecture), workshop.blueprint(supernet, architecture, about))
    module, data = load(folder).to(workshop.device), workshop.data
    compared = compare(supernet, architecture, module, data, workshop.config.eval_batch)
    difference = compared.difference
    assert difference <= TOLERANCE, f"extracted model and supernet differ by {difference}"
    kept = workshop.space.sizes(architecture)
    return ExtractedResult(
        digest=architecture.digest,
        architecture=dict(architecture),
        costs=costs,
        kept=kept,
        full={axis: workshop.space.outline.axes[axis] for axis in kept},
        validation=workshop.evaluation(module).metrics,
        difference=difference,
        images=compared.images,
        slices_only=not any(is_rank(dimension(axis)) for axis in kept),
        same_objects=compared.same_objects,
    )


class Likeness(NamedTuple):
    """Of two models: the greatest difference of outputs, whether the same objects are found, and on how many images."""

    difference: float
    same_objects: bool | None
    images: int


@torch.inference_mode()
def compare(
    supernet: Supernet, architecture: Architecture, module: torch.nn.Module, data: Data, batch: int
) -> Likeness:
    """A sub-network and its extracted model on validation images, at most `batch` of them."""
    device = next(module.parameters()).device
    images = next(data.validation.batches(min(IMAGES, batch), device=device)).inputs
    searched, extracted = supernet.eval()(images, architecture), module.eval()(images)
    task = data.task
    return Likeness(task.difference(searched, extracted), task.same_objects(searched, extracted), len(images))
