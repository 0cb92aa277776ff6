"""The anatomy of timm models: names and numbers that follow from a model's name and arguments, without weights.

A model that was seen before is remembered in the user's cache folder, and neither built again nor is timm or torch
loaded for it: what is asked before anything trains, such as `nas show`, then answers at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, final

from pydantic import TypeAdapter

from nas.axes import AxisTable
from nas.detectors import ARGUMENT
from nas.errors import ModelError, NasError, NoFamilyError
from nas.plugins import installed
from nas.searchspaces import Outline
from nas.supernets.derived.sources import full_name, is_derived
from nas.supernets.own import is_own
from nas.system import user_cache
from nas.system.bounded import bounded
from nas.trusted import is_code, require_trusted_code, trust_code

FAMILIES = "nas.supernets.families"
"""The plug-in folder of families, and the group of entry points that adds to it."""
SECONDS, GIBIBYTES = 600.0, 16.0
"""Most time and memory that finding the axes of a model may take, where its forward is captured."""


@final
@dataclass(frozen=True)
class Anatomy:
    """What a search space must know of a model, and the axes of its parameters where every axis may be chosen.

    `own` says whether one of our families gave it: only then do the versions, and our code, say all that it depends on.
    """

    outline: Outline
    table: AxisTable
    own: bool


def anatomy(model: str, model_args: Mapping[str, Any]) -> Anatomy:
    """The anatomy of a timm model by name; nothing is allocated, whatever its size. Where no family takes it as it is,
    its axes are derived, and the outline has its full name, "timm/NAME". Raises `ModelError`.
    """
    require_trusted_code(model)
    if mappings := [key for key, value in model_args.items() if key != ARGUMENT and _holds_mapping(value)]:
        raise ModelError(
            f"model_args: '{mappings[0]}' is a mapping, or holds one; allowed: numbers, text, true or false, lists of "
            "these"
        )
    return _anatomy(model, tuple(sorted((key, _hashable(value)) for key, value in model_args.items())))


@lru_cache(maxsize=64)
def _anatomy(model: str, hashable_args: tuple[tuple[str, Any], ...]) -> Anatomy:
    model_args = {key: value.described() if isinstance(value, _Described) else value for key, value in hashable_args}
    about = {"model": model, "model_args": model_args, **made_by()}
    if is_own(model):  # what this process was handed, no other one knows, and nobody remembers
        return _found(model, model_args)
    if is_code(model):  # its file may change
        return _bounded(model, model_args)
    remembered = user_cache.recall(Anatomy, about)
    if remembered is not None:
        return remembered

    if is_derived(model):
        whole = _bounded(model, model_args)
    else:
        try:
            whole = _found(model, model_args)
        except NoFamilyError:
            if ARGUMENT in model_args:
                raise
            whole = _anatomy(full_name(model), hashable_args)
    if whole.own:
        user_cache.remember(whole, about)
    return whole


def _found(model: str, model_args: Mapping[str, Any]) -> Anatomy:
    from nas.supernets import families
    from nas.supernets.timm_models import outline_of, outlined

    shapes = outlined(model, model_args)
    family = families.family_of(shapes)
    table = family.table(shapes, family.frame(shapes).axes)  # every axis chosen: all that the family says
    own = type(getattr(family, "family", family)).__module__.startswith(families.__name__)
    return Anatomy(outline_of(shapes, model), table, own)


def _bounded(model: str, model_args: Mapping[str, Any]) -> Anatomy:
    """Of a model whose forward is captured: nobody knows how long that takes."""
    arguments = model, json.dumps(dict(model_args))
    try:
        text = bounded(answer, *arguments, seconds=SECONDS, gibibytes=GIBIBYTES, task=f"the axes of '{model}'")
    except NasError as refused:
        raise ModelError(str(refused)) from refused
    return TypeAdapter(Anatomy).validate_json(text)


def answer(model: str, model_args: str) -> str:
    """In the process that may take long: the anatomy as JSON, of arguments as JSON."""
    trust_code(model)  # whoever asked was allowed to
    return TypeAdapter(Anatomy).dump_json(_found(model, json.loads(model_args))).decode()


@cache
def made_by() -> dict[str, Any]:
    """What else than a model's name and arguments an anatomy depends on: versions, families of other packages, and our
    own code, whose version does not change while somebody works on it.
    """
    folders = [
        Path(str(files(package)))
        for package in ("nas.supernets", "nas.detectors", "nas.searchspaces", "nas.quantities")
    ]
    code = sha256()
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        code.update(path.read_bytes())
    plugged = [[entry.name, entry.value, entry.dist and entry.dist.version] for entry in installed(FAMILIES)]
    versions = {name: version(name) for name in ("nas", "timm", "torch", "torchvision")}
    return {"versions": versions, "code": code.hexdigest(), "families": sorted(plugged)}


def _holds_mapping(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_holds_mapping, value)))


@final
@dataclass(frozen=True)
class _Described:
    """A mapping that can be a key: its JSON text."""

    text: str

    def described(self) -> Any:
        return json.loads(self.text)


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _Described(json.dumps(value, sort_keys=True, default=str))
    return tuple(map(_hashable, value)) if isinstance(value, list) else value
