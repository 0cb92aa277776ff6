"""From a model, pictures and a goal to a study and a space: looked at, written down, read again, timed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import torch

from nas.data import inspect_data, list_images
from nas.documents.document import read
from nas.errors import DataError, LimitError, nearest
from nas.evaluation import EVAL_BATCH
from nas.preprocessing import sides
from nas.quantities import every_cost
from nas.searchspaces import SearchSpace
from nas.searchspaces.from_yaml import outline_of
from nas.studies.drafting.aims import aim_of
from nas.studies.drafting.choosing import ChosenSpace, as_yaml, chosen_space
from nas.studies.drafting.plan import (
    TrainingPlan,
    batch_of,
    eval_batch_of,
    seconds_in,
    shortened,
    training_plan,
    validation_of,
)
from nas.studies.drafting.start import start_of
from nas.studies.drafting.survey import DataSurvey, survey
from nas.studies.drafting.text import SPACE, STUDY, StudyDraft, space_text, study_text
from nas.studies.file.resolve import Resolved, resolve
from nas.studies.forecast.forecast import Forecast, forecast
from nas.studies.forecast.memory import Footprint, footprint
from nas.studies.measure.pictures import pictures
from nas.studies.run.results import FINALISTS
from nas.studies.stages.workshop import device_called
from nas.supernets import build
from nas.supernets.derived.sources import is_derived
from nas.supernets.of_space import image_size_of
from nas.supernets.own import of_user, says_image_size
from nas.supernets.published import usual_side
from nas.system.files import replacing_folder
from nas.system.machine import Machine, this_machine
from nas.tasks import Batch, Facts, Task


@final
@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a user asks for.

    model        a name of timm's, or one whose axes are derived, see `nas.supernets.derived.sources`
    data         as of `nas evaluate`
    goal         "50%", "600M" (MACs), or "params=5M"
    out          the folder that is written, None for one called after data and model
    model_args   arguments of the model, which stand in the space's file
    checkpoint   weights of the whole model
    scratch      start from fresh weights, also where timm has some
    within       how long it may take here, "2h": then it is shortened
    device       see `StudyConfig.device`
    """

    model: str
    data: str
    goal: str = "50%"
    out: Path | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Path | None = None
    scratch: bool = False
    within: str | None = None
    device: str = "auto"


@final
@dataclass(frozen=True)
class Draft:
    """A first study, which was read by the study's reader, and what it takes. `weights` says where it starts."""

    name: str
    folder: Path
    weights: str
    survey: DataSurvey
    chosen: ChosenSpace
    machine: Machine
    derived: bool
    plan: TrainingPlan
    study: str
    space: str
    forecast: Forecast

    def write(self) -> None:
        """Both files, in a folder that is new or empty."""
        with replacing_folder(self.folder) as written:
            (written / STUDY).write_text(self.study, encoding="utf-8")
            (written / SPACE).write_text(self.space, encoding="utf-8")


def draft(wish: Wish, tell: Callable[[str], object] = lambda _: None) -> Draft:
    """A study for the wish; `tell` hears what is done meanwhile. Nothing is written.

    Raises `DataError`, `ModelError`, `LimitError` or `ConfigError` for what cannot be done, and `DataError` where the
    folder is not empty.
    """
    spec = pictures(wish.data, None, ()).data
    tell("looking at the pictures")
    listing = list_images(spec)
    facts = inspect_data(spec, listing)
    looked = survey(spec, listing, facts)
    machine, device = this_machine(), device_called(wish.device)
    gpu = device.type == "cuda"
    start = start_of(wish.model, wish.checkpoint, fresh=wish.scratch or bool(wish.model_args))
    own_side = None if start.trained or "img_size" in wish.model_args else usual_side(wish.model)
    asked = spec.image_size
    if asked is None and of_user(wish.model) and not says_image_size(wish.model, wish.model_args):
        asked = facts.image_size
    aim = aim_of(looked, asked, own_side, gpu=gpu)
    spec, goal = replace(spec, image_size=aim.image_size), goal_of(wish.goal, aim.bounded)
    tell("looking at the model")
    model_args = aim.task.model_args(facts) | ({} if aim.image_size is None else {"img_size": aim.image_size})
    model, outline = _known(wish.model, {**wish.model_args, **model_args})
    name = _name(f"{Path(spec.path or spec.name or 'data').stem}-{model}")
    folder = wish.out or Path(name)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(f"{folder}: exists, and nothing is overwritten; allowed: --out DIR, a new folder")
    chosen = chosen_space(model, wish.model_args, model_args, outline, goal)
    of = _footprint(aim.task, facts, chosen.space)
    memory = machine.gpus[device.index or 0].memory if gpu else machine.memory
    plan = training_plan(looked, pretrained=start.trained, gpu=gpu)
    written = StudyDraft(
        name=name,
        folder=folder,
        data=spec,
        aim=aim,
        goal=goal,
        pretrained=start.pretrained,
        checkpoint=None if wish.checkpoint is None else wish.checkpoint.resolve(),
        validation=None if "validation" in looked.counts else validation_of(looked),
        batch=batch_of(of, looked.pictures, memory, plan.batch),
        eval_batch=eval_batch_of(of, memory, EVAL_BATCH if looked.objects is None else 2 * plan.batch),
        device=wish.device,
        plan=plan,
    )
    space = space_text(chosen, wish.model_args, model, written)
    tell("timing a few steps")
    written, found = _timed(written, as_yaml(model, wish.model_args, chosen.proposals), wish.within)
    study = study_text(written, found, machine)
    return Draft(
        name, folder, start.words, looked, chosen, machine, is_derived(model), written.plan, study, space, found
    )


def _timed(written: StudyDraft, space: Mapping[str, Any], within: str | None) -> tuple[StudyDraft, Forecast]:
    """The study and what it takes; shortened where that is more than it may be."""
    most = None if within is None else seconds_in(within)
    found = forecast(_read(study_text(written, None), space))
    if most is None or found.seconds <= most:
        return written, found
    rest = sum(stage.seconds for stage in found.stages if stage.stage != FINALISTS.name)
    written = replace(written, plan=shortened(written.plan, min(1.0, most / rest)))
    return written, forecast(_read(study_text(written, None), space))


def _footprint(task: Task, facts: Facts, space: SearchSpace) -> Footprint:
    """What the whole model takes, by two black pictures."""
    height, width = sides(image_size_of(space))
    images = torch.zeros(2, facts.channels, height, width)
    targets = task.example_targets(facts._replace(image_size=min(height, width)), len(images))
    whole = build(space.model, space.model_args)
    return footprint(whole, task.learning_inputs(Batch(images, targets)), images)


def _read(text: str, space: Mapping[str, Any]) -> Resolved:
    """The study, as its reader understands it. Its space's file is not there yet: what will stand in it is read."""
    document = read(text)
    assert isinstance(document.data, dict)
    resolved = resolve(json.dumps({**document.data, "space": dict(space)}, default=str))
    resolved.check()
    return resolved


def _known(name: str, model_args: Mapping[str, Any]) -> tuple[str, Any]:
    """A model as a study may call it, and its outline: one of timm's that no family knows by hand has derived axes."""
    outline = outline_of(name, model_args)
    return outline.model, outline


def goal_of(text: str, usual: str) -> dict[str, str]:
    """Quantity -> the most of it; the `usual` one where none is named. Raises `LimitError` for what is neither AMOUNT
    nor QUANTITY=AMOUNT.
    """
    quantity, equals, amount = text.rpartition("=")
    known = [cost.name for cost in every_cost()]
    if equals and quantity not in known:
        raise LimitError(f"--goal: found '{quantity}'; allowed: {', '.join(known)}{nearest(quantity, known)}")
    if not amount.strip():
        raise LimitError(f"--goal: found '{text}'; allowed: 50%, 600M (MACs), or params=5M")
    return {quantity or usual: amount.strip()}


def _name(text: str) -> str:
    """Letters, digits, dots, - and _, as a study's name may have them."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")[:64] or "study"
