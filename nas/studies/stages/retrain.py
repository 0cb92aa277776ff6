"""retrain: the winners learn again, each by the same recipe; afterwards, and only then, the test split is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from nas.searchspaces import Architecture
from nas.studies.config import RetrainSpec
from nas.studies.folder import read_json, replaced_folder, write_json
from nas.studies.measuring import measure_rows
from nas.studies.results import Training
from nas.studies.session import Session
from nas.supernets import Supernet, load, save
from nas.training import AdjoinedStep, DistilledStep, PlainStep, Step, Watch, accuracy
from nas.training.adjoined import SeparateNorms
from nas.training.gradual import stages


def run(session: Session) -> dict[str, Any]:
    """Retrains, measures base, winners before and after; a winner that is finished is not trained again."""
    extracted, place = session.folder.need("extract"), session.folder.stage("retrain")
    explored = session.folder.need("explore")
    roles = [role for role in ("winner", "uniform") if role in extracted]
    strategies = {role: explored[role]["strategy"] for role in roles}
    starts = {(extracted[role]["digest"], session.source(strategies[role])) for role in roles}
    twins = len(starts) < len(roles)
    done = {}
    for role in roles[:1] if twins else roles:
        architecture = Architecture(extracted[role]["architecture"])
        start = session.folder.path / "extract" / role
        done[role] = retrain(session, architecture, start, place / role, strategy=strategies[role])
    if twins:
        done["uniform"] = done["winner"]
    rows, latency = measure_rows(session, extracted, twins=twins)
    return {"trainings": done, "rows": rows, "latency": latency, "twins": twins}


def retrain(
    session: Session, architecture: Architecture, extracted: Path, place: Path, *, strategy: str
) -> dict[str, Any]:
    """Trains one architecture by the study's recipe, from its weights in the supernet of the strategy that found it,
    into the folder `place`.
    """
    finished = place.with_name(f"{place.name}.json")
    if finished.exists():
        return read_json(finished, Training, remedy="delete it and run again")
    config = session.config
    supernet = session.supernet(strategy)
    module, step = start(
        config.retrain,
        supernet,
        architecture,
        extracted=lambda: load(extracted).to(session.device),
        teacher=session.base_model,
    )
    split, device = session.data.validation, session.device
    checkpoint = place.with_name(f"{place.name}-training.safetensors")
    watch = session.training(f"retrain {place.name}", checkpoint, Watch(split, architecture))
    history = session.fit("retrain", module, step, watch)
    model = module.extract(architecture) if isinstance(module, Supernet | SeparateNorms) else module
    with replaced_folder(place) as partial:
        save(partial, model, session.blueprint(supernet, architecture, {"retrained": config.retrain.loss}))
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
