"""retrain: the winners learn again, each by the same recipe; afterwards, and only then, the test split is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import nn

from nas.errors import RunError
from nas.searchspaces import Architecture
from nas.studies.file.config import RetrainSpec
from nas.studies.run.folder import read_json, replaced_folder, write_json
from nas.studies.run.results import EXTRACT, RETRAIN, RetrainResult, TrainingResult, epochs_of
from nas.studies.run.rows import UNIFORM, WINNER
from nas.studies.stages.measuring import measure_rows
from nas.studies.stages.workshop import Workshop
from nas.supernets import Supernet, load, save
from nas.training import AdjoinedStep, DistilledStep, History, PlainStep, Runtime, Step
from nas.training.objectives.gradual import Gradual, Holder, Scorer
from nas.training.objectives.separate_norms import SeparateNorms


def run(workshop: Workshop) -> RetrainResult:
    """Retrains, measures base, winners before and after; a winner that is finished is not trained again."""
    workshop.folder.verify(EXTRACT)
    folder = workshop.folder.stage(RETRAIN.name)
    models, trials = workshop.folder.need(EXTRACT).roles, workshop.folder.roles()
    # The same architecture is retrained once, unless the two start from the weights of different supernets.
    starts = {(model.digest, workshop.supernets.source(trials[role].strategy)) for role, model in models.items()}
    twins = len(starts) < len(models)
    trainings = {}
    for role in [WINNER] if twins else models:
        architecture = Architecture(models[role].architecture)
        extracted = workshop.folder.path / EXTRACT.name / role
        supernet = partial(workshop.supernets.of, trials[role].strategy)
        trainings[role] = retrain(workshop, supernet, architecture, extracted, folder / role)
    if twins:
        trainings[UNIFORM] = trainings[WINNER]
    table = measure_rows(workshop, models, twins=twins)
    return RetrainResult(trainings=trainings, twins=twins, **table._asdict())


def retrain(
    workshop: Workshop,
    shared: Callable[[], Supernet],
    architecture: Architecture,
    extracted: Path | None,
    folder: Path,
) -> TrainingResult:
    """Trains one architecture by the study's recipe, from its weights in the `shared` supernet, into `folder`, unless
    that was done; `extracted` is a folder that has those weights already.
    """
    finished = folder.with_name(f"{folder.name}.json")
    if finished.exists():
        workshop.folder.verify(RETRAIN)
        return _kept(finished, architecture)
    supernet, device = shared(), workshop.device
    checkpoint = folder.with_name(f"{folder.name}-training.safetensors")
    model, history = learnt(
        workshop,
        workshop.config.retrain,
        supernet,
        architecture,
        runtime=runtime_of(workshop, f"retrain {folder.name}", checkpoint, architecture),
        extracted=lambda: load(extracted).to(device) if extracted else supernet.extract(architecture),
    )
    workshop.check_lease()
    with replaced_folder(folder) as written:
        save(written, model, workshop.blueprint(supernet, architecture, {"retrained": workshop.config.retrain.loss}))
    # What is measured was read back: the file is the result.
    evaluation = workshop.evaluation(load(folder).to(workshop.device))
    training = TrainingResult(digest=architecture.digest, history=epochs_of(history), validation=evaluation.metrics)
    workshop.check_lease()
    write_json(finished, training)
    checkpoint.unlink(missing_ok=True)
    return training


def runtime_of(workshop: Workshop, title: str, checkpoint: Path, architecture: Architecture) -> Runtime:
    """Where a retraining takes place, watched on the search-validation split."""
    return workshop.training(title, checkpoint, workshop.watch(architecture))


def learnt(
    workshop: Workshop,
    spec: RetrainSpec,
    supernet: Supernet,
    architecture: Architecture,
    *,
    runtime: Runtime,
    extracted: Callable[[], nn.Module],
) -> tuple[nn.Module, History]:
    """An architecture as a module that was trained by the recipe `spec`, from its weights in the supernet, which may
    change with it; `extracted` makes a module with these weights.
    """
    scorer = workshop.scorer() if spec.gradual else None
    module, step = start(spec, supernet, architecture, extracted=extracted, teacher=workshop.base_model, scorer=scorer)
    history = workshop.fit(RETRAIN, module, step, runtime, spec)
    return module.extract(architecture) if isinstance(module, Holder) else module, history


def _kept(path: Path, architecture: Architecture) -> TrainingResult:
    """A training that was finished before. Raises `RunError` when it is that of another architecture."""
    training = read_json(path, TrainingResult, remedy="delete it and run again")
    if training.digest != architecture.digest:
        raise RunError(
            f"{path}: the training of architecture {training.digest}, here {architecture.digest} is wanted; delete it "
            "and run again"
        )
    return training


def start(
    spec: RetrainSpec,
    supernet: Supernet,
    architecture: Architecture,
    *,
    extracted: Callable[[], nn.Module],
    teacher: Callable[[], nn.Module],
    scorer: Scorer | None,
) -> tuple[nn.Module, Step]:
    """What is trained, and what it minimises; `extracted` and `teacher` are asked for where they are needed. With a
    `scorer`, a gradual retraining puts the units of each block in order anew.
    """
    if spec.loss == "adjoined":
        pair = SeparateNorms(supernet) if spec.separate_norms else supernet
        step = AdjoinedStep(architecture, supernet.space.largest, spec.detach, spec.small_ce)
        if not spec.gradual:
            return pair, step
        gradual = Gradual(pair, architecture, scorer)
        return gradual, replace(step, cutting=len(gradual.stages))
    module = Gradual(supernet, architecture, scorer) if spec.gradual else extracted()
    if spec.loss == "distilled":
        return module, DistilledStep(teacher(), spec.weight, spec.temperature)
    return module, PlainStep()
