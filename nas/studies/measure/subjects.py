"""Which model is measured: one that this program saved, the winner of a run, one that timm saved, one of timm's by its
name, or a module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

from timm.models import get_pretrained_cfg
from torch import nn

from nas import tasks
from nas.data import NamedSplit
from nas.errors import CheckpointError, ModelError
from nas.preprocessing import ImageSize, Preprocessing, shown_size, size_of
from nas.studies.run.folder import RunFolder
from nas.studies.run.record import Record
from nas.studies.run.results import RETRAIN
from nas.studies.run.rows import RETRAINED, WINNER
from nas.supernets import build, load, model_input, read_blueprint
from nas.supernets.checkpoint import load_all_weights
from nas.supernets.families import family_of
from nas.supernets.model_input import ModelInput
from nas.supernets.saved import RECIPE
from nas.supernets.timm_models import require_weights
from nas.tasks import Task

TIMM_FILES = ("model.safetensors", "pytorch_model.bin")
"""How timm calls the weights that it saves beside its config.json."""
STUDY = "study.yaml"
"""What makes a folder a run's."""


@final
@dataclass(frozen=True)
class NamedWeights:
    """Of a model that is called by its name: a file, or timm's own."""

    checkpoint: Path | None = None
    pretrained: bool = False


@final
@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model that is to be measured.

    title       what reports call it
    size        of the images that it takes
    constants   by which its images are prepared; None where nobody knows
    model       the model for a split; raises `ModelError` where its channels or classes are others
    notes       what a user should know of the model on a split
    task        what it is for
    """

    title: str
    size: ImageSize
    constants: Preprocessing | None
    model: Callable[[NamedSplit], nn.Module]
    notes: Callable[[NamedSplit], list[str]] = lambda _: []
    task: Task = field(default_factory=lambda: tasks.find(tasks.DEFAULT)())


def run_of(model: str | Path | nn.Module, *, trust: bool = False) -> RunFolder | None:
    """The run whose winner is asked for, None where the model is no run. Raises `RunError` for one that is damaged."""
    if isinstance(model, nn.Module) or not (Path(model) / STUDY).is_file():
        return None
    return Record.open(model, trust=trust).folder


def subject_of(
    model: str | Path | nn.Module, weights: NamedWeights, model_args: Mapping[str, Any], size: ImageSize | None
) -> Subject:
    """What a user calls a model. Raises `ModelError`, `CheckpointError` or `RunError` where there is none."""
    if isinstance(model, nn.Module):
        return _built(model, size)
    folder = Path(model)
    if not folder.exists():
        return _named(str(model), weights, model_args, size)
    if weights != NamedWeights():
        raise ModelError(f"{folder}: exists; --checkpoint and --pretrained go with timm's name of a model")
    if (folder / STUDY).is_file():
        return _winner(folder)
    if (folder / RECIPE).is_file():
        return _saved(folder)
    name = model_input.read_config(folder).get("architecture")
    files = [folder / file for file in TIMM_FILES if (folder / file).is_file()]
    if isinstance(name, str) and files:
        return _named(name, NamedWeights(files[0]), model_args, size)
    raise ModelError(
        f"{folder}: no model here; allowed: a folder that nas extract wrote ({RECIPE}), a run's ({STUDY}), one that "
        f"timm wrote (config.json, {TIMM_FILES[0]}), or timm's name of a model"
    )


def _built(module: nn.Module, size: ImageSize | None) -> Subject:
    """A module that is there. `size`: of its images, where the module does not say."""
    timm_model: Any = module
    config = getattr(timm_model, "pretrained_cfg", None) or {}
    title = type(module).__name__

    def checked(split: NamedSplit) -> nn.Module:
        _check_classes(title, getattr(timm_model, "num_classes", None), split)
        return module

    constants = model_input.of_config(config) if {"mean", "std"} <= config.keys() else None
    return Subject(title=title, size=size or model_input.usual_side(config), constants=constants, model=checked)


def _saved(folder: Path) -> Subject:
    """A folder that `nas extract` or a run wrote. Raises `CheckpointError` for one that is damaged."""
    about, model = read_blueprint(folder).about, load(folder).float()
    timm_model: Any = model
    known, names = about.get("input"), about.get("classes")
    of = ModelInput.of_json(known, folder / RECIPE) if isinstance(known, Mapping) else None

    def checked(split: NamedSplit) -> nn.Module:
        _check_classes(str(folder), getattr(timm_model, "num_classes", None), split)
        if of is not None and of.channels != split.channels:
            raise ModelError(f"{folder}: found a model for {of.channels} channels; {split.name} has {split.channels}")
        return model

    def notes(split: NamedSplit) -> list[str]:
        if not isinstance(names, list) or names == list(split.class_names):
            return []
        own, other = next(pair for pair in zip(names, split.class_names, strict=False) if pair[0] != pair[1])
        return [f"a class is called {own} by the model and {other} by {split.name}: they are compared by position"]

    size = of.size if of else size_of(*family_of(model).image_size(model))
    constants = of.preprocessing if of else None
    return Subject(title=str(folder), size=size, constants=constants, model=checked, notes=notes)


def _winner(run: Path) -> Subject:
    """The winner of a run as it was retrained. Raises `RunError` where it is not finished, or was changed since."""
    record = Record.open(run)
    record.folder.need(RETRAIN)
    record.folder.verify(RETRAIN)
    return replace(
        _saved(run / RETRAIN.name / WINNER),
        title=f"{record.name}: {WINNER}{RETRAINED}",
        task=record.task,
    )


def _named(name: str, weights: NamedWeights, model_args: Mapping[str, Any], size: ImageSize | None) -> Subject:
    """One of timm's models, with weights of timm's or from a file. Raises `ModelError` without weights, or for what
    there is not, `CheckpointError` for a damaged configuration beside them.
    """
    config = _config_of(name)
    if weights.pretrained == (weights.checkpoint is not None):
        found = "both" if weights.pretrained else "neither"
        raise ModelError(f"{name}: found {found} of --checkpoint FILE and --pretrained; timm's model needs one")
    constants, args, notes = None, dict(model_args), []
    if weights.checkpoint is not None:
        beside = model_input.read_config(weights.checkpoint.parent)
        constants = model_input.beside(weights.checkpoint)
        config = {**config, **(beside.get("pretrained_cfg") or {})} if constants else config
        args = {**(beside.get("model_args") or {}), **model_args}
    if constants is None and {"mean", "std"} <= config.keys():
        constants = model_input.of_config(config)
        if weights.checkpoint is not None:
            notes.append(
                "no config.json with a pretrained_cfg beside the checkpoint: images are prepared as timm's own weights "
                f"of {name} want them"
            )
    usual = model_input.usual_side(config)
    size = size or model_input.side(args.get("img_size"), "model_args.img_size") or usual
    if "img_size" in args or (config.get("fixed_input_size") and size != usual):  # others take images of any size
        args["img_size"] = size

    def fitting(split: NamedSplit) -> nn.Module:
        model_args = {**args, "in_chans": split.channels, "num_classes": len(split.class_names)}
        if weights.checkpoint is None:
            _check_classes(name, config.get("num_classes"), split)
            return build(name, model_args, pretrained=True)
        try:
            model = _plausible(name, model_args, weights.checkpoint)
            load_all_weights(model, weights.checkpoint)
        except CheckpointError as fault:
            about = f"{split.name} has {len(split.class_names)} classes and {split.channels} channels"
            raise CheckpointError(f"{fault}; {about}, and images are of {shown_size(size)} pixels") from fault
        return model

    title = f"{name} ({weights.checkpoint or 'pretrained'})"
    return Subject(title=title, size=size, constants=constants, model=fitting, notes=lambda _: notes)


def _plausible(name: str, model_args: Mapping[str, Any], checkpoint: Path) -> nn.Module:
    """A model whose weights may be in this file. Raises `CheckpointError` where they cannot."""
    if checkpoint.is_file():  # who reads it says so where it is none
        require_weights(name, model_args, checkpoint)
    return build(name, model_args)


def _config_of(name: str) -> Mapping[str, Any]:
    """What timm knows of its weights of that name. Raises `ModelError` where it does not know the name."""
    try:
        config = get_pretrained_cfg(name)
    except RuntimeError as unknown:
        raise ModelError(f"{name}: {unknown}") from unknown
    return {} if config is None else dict(vars(config))


def _check_classes(title: str, classes: int | None, split: NamedSplit) -> None:
    """Raises `ModelError` for data of other classes."""
    if classes is not None and classes != len(split.class_names):
        raise ModelError(
            f"{title}: found a model of {classes} classes; {split.name} has {len(split.class_names)}; allowed: data of "
            "as many classes, in the model's order"
        )
