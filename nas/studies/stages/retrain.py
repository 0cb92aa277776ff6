"""retrain: the winners learn again, each by the same recipe; afterwards, and only then, the test split is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from nas.evaluation import Watch, accuracy
from nas.searchspaces import Architecture
from nas.studies.file.config import RetrainSpec
from nas.studies.run.folder import read_json, replaced_folder, write_json
from nas.studies.run.results import TrainingResult
from nas.studies.stages.measuring import measure_rows
from nas.studies.stages.workshop import Workshop
from nas.supernets import Supernet, load, save
from nas.training import AdjoinedStep, DistilledStep, PlainStep, Step
from nas.training.objectives.gradual import stages
from nas.training.objectives.separate_norms import SeparateNorms


def run(workshop: Workshop) -> dict[str, Any]:
    """Retrains, measures base, winners before and after; a winner that is finished is not trained again."""
    extracted, place = workshop.folder.need("extract"), workshop.folder.stage("retrain")
    explored = workshop.folder.need("explore")
    roles = [role for role in ("winner", "uniform") if role in extracted]
    strategies = {role: explored[role]["strategy"] for role in roles}
    starts = {(extracted[role]["digest"], workshop.source(strategies[role])) for role in roles}
    twins = len(starts) < len(roles)
    done = {}
    for role in roles[:1] if twins else roles:
        architecture = Architecture(extracted[role]["architecture"])
        start = workshop.folder.path / "extract" / role
        done[role] = retrain(workshop, architecture, start, place / role, strategy=strategies[role])
    if twins:
        done["uniform"] = done["winner"]
    rows, latency = measure_rows(workshop, extracted, twins=twins)
    return {"trainings": done, "rows": rows, "latency": latency, "twins": twins}


def retrain(
    workshop: Workshop, architecture: Architecture, extracted: Path, place: Path, *, strategy: str
) -> dict[str, Any]:
    """Trains one architecture by the study's recipe, from its weights in the supernet of the strategy that found it,
    into the folder `place`.
    """
    finished = place.with_name(f"{place.name}.json")
    if finished.exists():
        return read_json(finished, TrainingResult, remedy="delete it and run again")
    config = workshop.config
    supernet = workshop.supernet(strategy)
    module, step = start(
        config.retrain,
        supernet,
        architecture,
        extracted=lambda: load(extracted).to(workshop.device),
        teacher=workshop.base_model,
    )
    split, device = workshop.data.validation, workshop.device
    checkpoint = place.with_name(f"{place.name}-training.safetensors")
    watch = workshop.training(f"retrain {place.name}", checkpoint, Watch(split, architecture))
    history = workshop.fit("retrain", module, step, watch)
    model = module.extract(architecture) if isinstance(module, Supernet | SeparateNorms) else module
    with replaced_folder(place) as partial:
        save(partial, model, workshop.blueprint(supernet, architecture, {"retrained": config.retrain.loss}))
    found = accuracy(load(place).to(device), split, device=device)
    result = {"digest": architecture.digest, "history": history.rows(), "validation": found.metrics}
    write_json(finished, result)
    checkpoint.unlink(missing_ok=True)
    return result


def start(
    spec: RetrainSpec,
    supernet: Supernet,
    architecture: Architecture,
    *,
    extracted: Callable[[], nn.Module],
    teacher: Callable[[], nn.Module],
) -> tuple[nn.Module, Step]:
    """What is trained, and what it minimises; `extracted` and `teacher` are asked for where they are needed."""
    if spec.loss == "adjoined":
        pair = SeparateNorms(supernet, architecture) if spec.separate_norms else supernet
        first = stages(supernet.space, architecture) if spec.gradual else ()
        return pair, AdjoinedStep(architecture, supernet.space.largest, spec.detach, spec.small_ce, first)
    module = extracted()
    if spec.loss == "distilled":
        return module, DistilledStep(teacher(), spec.weight, spec.temperature)
    return module, PlainStep()
