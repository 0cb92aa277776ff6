"""Extracted models on disk: a folder with `model.safetensors` (weights) and `model.json` (how to rebuild the module).

Loading builds the timm model that the JSON names, carves it to the stored sizes and loads the weights. Matrices with
fewer bits are int8 in the file, and learn on from there when loaded. Nothing is ever unpickled. The JSON carries the
checksum of its weights, so that a pair torn apart by a crash is noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import timm
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from nas.errors import CheckpointError
from nas.searchspaces.axis_names import DEPTH, dimension
from nas.supernets.carve import Whole, carve, extracted
from nas.supernets.decompositions import OfInputs
from nas.supernets.families import family_of
from nas.supernets.int8_weights import packed, unpacked
from nas.supernets.model_input import ModelInput
from nas.supernets.selection import Selection
from nas.supernets.slicing import Cut
from nas.supernets.timm_models import build, require_weights
from nas.system.files import replace_file, replacing

FORMAT = 1
WEIGHTS, RECIPE = "model.safetensors", "model.json"


@dataclass(frozen=True)
class Blueprint:
    """How to rebuild an extracted module: the timm model it came from, the sizes of its axes, and what was selected.

    `about` is free for what a reader wants to know: architecture, costs, metrics; its `input`, where it is there, is a
    `nas.supernets.model_input.ModelInput`.
    """

    model: str
    model_args: Mapping[str, Any]
    sizes: Mapping[str, int]
    selection: Mapping[str, list[int]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


_KEYS = tuple(f.name for f in fields(Blueprint))
_BLUEPRINT = TypeAdapter(Blueprint)


def save(folder: str | Path, model: nn.Module, blueprint: Blueprint) -> None:
    """Write an extracted model. Each file appears whole or not at all; the JSON comes last."""
    folder = Path(folder)
    with replacing(folder / WEIGHTS) as weights:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in packed(model).items()}, weights)
        checksum = _checksum(weights)
    content = {
        "format": FORMAT,
        "timm": timm.__version__,
        "model": blueprint.model,
        "model_args": dict(blueprint.model_args),
        "sizes": dict(blueprint.sizes),
        "selection": dict(blueprint.selection),
        "about": dict(blueprint.about),
        "sha256": checksum,
    }
    replace_file(folder / RECIPE, (json.dumps(content, indent=1) + "\n").encode())


def load(folder: str | Path) -> nn.Module:
    """The extracted model in `folder`, in evaluation mode, on the CPU. Its `pretrained_cfg` says how pictures are made
    its input, where the folder does: see `timm.data.resolve_data_config`.

    Raises CheckpointError when the folder holds none, or when its files are damaged or do not belong together.
    """
    folder = Path(folder)
    blueprint, checksum = _read(folder)
    weights = folder / WEIGHTS
    if _checksum(weights) != checksum:
        raise CheckpointError(f"{weights}: not the weights that {RECIPE} describes (checksum); extract the model again")
    require_weights(blueprint.model, blueprint.model_args, weights)
    model = _skeleton(blueprint, folder)
    try:
        tensors, dtypes = unpacked(model, load_file(weights))
        # Weights that were saved in half precision come back so.
        model.to(dtypes.pop() if len(dtypes) == 1 else torch.float32)
        model.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as wrong:
        raise CheckpointError(f"{weights}: does not fit {blueprint.model} of {RECIPE}: {wrong}") from wrong
    if isinstance(images := blueprint.about.get("input"), Mapping):
        ModelInput.of_json(images, folder / RECIPE).give(model)
    return model.eval()


def read_blueprint(folder: str | Path) -> Blueprint:
    """The JSON part of a saved model. Raises CheckpointError."""
    return _read(Path(folder))[0]


def _read(folder: Path) -> tuple[Blueprint, str]:
    recipe = folder / RECIPE
    if not recipe.is_file() or not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{folder}: no extracted model here; needed: {RECIPE} and {WEIGHTS}")
    try:
        content = json.loads(recipe.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise CheckpointError(f"{recipe}: format {content['format']}; this version reads format {FORMAT}")
        known = json.dumps({key: content[key] for key in _KEYS})
        return _BLUEPRINT.validate_json(known, strict=True), str(content["sha256"])
    except ValidationError as wrong:
        first = wrong.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{recipe}: damaged at '{key}' ({first['msg']}); extract the model again") from wrong
    except (ValueError, KeyError, TypeError, RecursionError) as wrong:
        raise CheckpointError(
            f"{recipe}: damaged or not written by nas ({wrong!r}); extract the model again"
        ) from wrong


@torch.no_grad()
def _skeleton(blueprint: Blueprint, folder: Path) -> nn.Module:
    """A module of the right classes and shapes, its values yet to be loaded."""
    model = build(blueprint.model, blueprint.model_args)
    family = family_of(model)
    images, sides = blueprint.about.get("input"), family.image_size(model)
    size = images.get("size") if isinstance(images, Mapping) else None
    if isinstance(images, Mapping) and list(sides) != (size if isinstance(size, list) else [size, size]):
        raise CheckpointError(
            f"{folder / RECIPE}: damaged at 'about.input': size is {size!r}, of a model for images of "
            f"{' x '.join(map(str, sides))}; extract the model again"
        )
    table = family.table(model, blueprint.sizes)
    for axis, size in blueprint.sizes.items():
        least = 0 if dimension(axis) == DEPTH else 1
        if not least <= size <= table.frame.axes.get(axis, -1):
            raise CheckpointError(f"{folder / RECIPE}: {blueprint.model} has no {size} units of an axis {axis}")
    selection = Selection(table, family, model)
    selection.load(blueprint.selection)
    keep = Cut(table.frame, blueprint.sizes, selection.kept(blueprint.sizes))
    # Only shapes matter here, so any directions do for a factored layer.
    whole = Whole(
        model, family, table, lambda _, weight, __: OfInputs(weight.new_zeros(min(weight.shape), weight.shape[1]))
    )
    return extracted(carve(whole, dict(model.named_parameters()), keep), family)


def _checksum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
