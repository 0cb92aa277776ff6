"""Architectures as models: those of a run, whose data are not needed for it, and those of a file, without any run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from torch import nn

from nas.errors import RunError
from nas.studies.run.folder import replaced_folder
from nas.studies.run.found import FoundArchitecture, found_by
from nas.studies.run.record import Record
from nas.studies.run.results import EXTRACT, PREPARE, RETRAIN, SUPERNET
from nas.studies.run.rows import WINNER
from nas.studies.stages.supernets import Supernets
from nas.supernets import Blueprint, Supernet, build, load, load_weights, model_input, read_blueprint, save
from nas.supernets.model_input import ModelInput
from nas.supernets.of_space import image_size_of
from nas.supernets.saved import RECIPE

KEPT = ("input", "classes")
"""What all saved models of a run say alike: how images are prepared, and the names of the classes."""
COLOURS = 3


@final
@dataclass(frozen=True)
class Extracted:
    """An architecture as a module of its own, how to rebuild it, and what a user should know of its weights."""

    module: nn.Module
    blueprint: Blueprint
    notes: tuple[str, ...] = ()

    def write(self, to: Path) -> None:
        """Writes a folder for `nas.load`. Raises `RunError` where something is there."""
        if to.exists() and (not to.is_dir() or any(to.iterdir())):
            raise RunError(f"{to}: exists and is not an empty folder; choose another")
        with replaced_folder(to) as partial:
            save(partial, self.module, self.blueprint)


def of_run(record: Record, *, digest: str | None = None, number: int | None = None) -> Extracted:
    """An architecture of a run with its weights in the supernet on which it was measured: see `found_by` for which.

    Nothing but the run's folder is read. Raises `RunError` for what is missing or was changed.
    """
    prepared = record.result(PREPARE)
    record.folder.need(SUPERNET)
    found = found_by(record, digest=digest, number=number)
    space = found.search_space(str(record.folder.study_file))
    supernets = Supernets(record.folder, space, record.strategy, torch.device("cpu"), lambda: None)
    known = _known(record.folder.path)
    if not known and prepared.preprocessing is not None:
        of = ModelInput(prepared.data.channels, prepared.data.image_size, prepared.preprocessing)
        known = {"input": of.as_json(), **prepared.outputs}
    about = {"study": record.name, "seed": record.study.seed, "digest": found.digest, **known, "retrained": False}
    return _extracted(supernets.of(found.strategy), found, about)


def winner_of(record: Record) -> Extracted:
    """The winner of a run as it was retrained; where it was not yet, with its weights in the supernet.

    Raises `RunError` for what is missing or was changed.
    """
    if not record.folder.done(RETRAIN):
        extracted = of_run(record)
        return replace(extracted, notes=("the winner was not retrained yet: its weights are the supernet's",))
    record.folder.verify(RETRAIN)
    return of_folder(record.folder.path / RETRAIN.name / WINNER)


def of_folder(folder: Path) -> Extracted:
    """A model that `nas extract` or a run wrote. Raises `CheckpointError` for one that is damaged."""
    return Extracted(load(folder), read_blueprint(folder))


def of_file(found: FoundArchitecture, file: str, *, checkpoint: Path | None, pretrained: bool) -> Extracted:
    """An architecture with its part of the whole model's weights: those of the file `checkpoint`, timm's own, or fresh
    ones. Raises `CheckpointError` or `ModelError` where these do not fit, `ConfigError` for a space that is none.
    """
    if checkpoint is not None and pretrained:
        raise RunError(
            f"{file}: found both of --checkpoint FILE and --pretrained; allowed: one of them, or fresh weights"
        )
    space = found.search_space(file)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(space.model, space.model_args, pretrained=pretrained)
    constants, notes = model_input.of_pretrained(model) if pretrained else None, []
    if checkpoint is not None:
        notes = [f"checkpoint: {note}" for note in load_weights(model, checkpoint)]
        constants = model_input.beside(checkpoint)
    elif not pretrained:
        notes = ["its weights are fresh: give --checkpoint FILE or --pretrained for others"]
    about: dict[str, Any] = {"study": found.study, "digest": found.digest, "retrained": False}
    if constants is not None:
        channels = int(space.model_args.get("in_chans", COLOURS))
        about["input"] = ModelInput(channels, image_size_of(space), constants.for_channels(channels)).as_json()
    return replace(_extracted(Supernet(model, space), found, about), notes=tuple(notes))


def _extracted(supernet: Supernet, found: FoundArchitecture, about: Mapping[str, Any]) -> Extracted:
    module, blueprint = supernet.extract(found.value).eval(), supernet.blueprint(found.value, about)
    known = about.get("input")
    if isinstance(known, Mapping):
        ModelInput.of_json(known, Path(RECIPE)).give(module)
    return Extracted(module, blueprint)


def _known(run: Path) -> dict[str, Any]:
    """What a saved model of a run says of its inputs and outputs; nothing where there is no such model yet."""
    for stage in (EXTRACT, RETRAIN):
        if (run / stage.name / WINNER / RECIPE).is_file():
            about = read_blueprint(run / stage.name / WINNER).about
            return {name: about[name] for name in KEPT if name in about}
    return {}
