"""What is derived of a model that somebody names, within bounds of time and memory, and remembered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import TypeAdapter

from nas.supernets.anatomy import GIBIBYTES, SECONDS, made_by
from nas.supernets.derived.derivation import Derivation
from nas.supernets.derived.sources import derived_by, is_function, library
from nas.system import user_cache
from nas.system.bounded import bounded


def derivation_by(
    name: str, model_args: Mapping[str, Any], image: tuple[int, int, int] | None = None, seconds: float = SECONDS
) -> Derivation:
    """The axes of a model by its name (see `nas.supernets.derived.sources`), on images of this shape or of its own.

    It is remembered by name, arguments and versions, but for a function of the user's, whose file may change. Raises
    `ModelError` for a model that cannot be built or captured, `NasError` where that takes more than is allowed.
    """
    about = {"derived": name, "model_args": dict(model_args), "image": image, "library": _release(library(name))}
    about |= made_by()
    if not is_function(name) and (known := user_cache.recall(Derivation, about)) is not None:
        return known
    arguments = name, json.dumps(dict(model_args)), json.dumps(image)
    text = bounded(answer, *arguments, seconds=seconds, gibibytes=GIBIBYTES, task=f"the axes of '{name}'")
    derivation = TypeAdapter(Derivation).validate_json(text)
    if not is_function(name):
        user_cache.remember(derivation, about)
    return derivation


def answer(name: str, model_args: str, image: str) -> str:
    """In the process that may take long: the derivation as JSON, of arguments as JSON."""
    import torch

    torch.set_num_threads(1)  # nothing has values
    shape = json.loads(image)
    derivation = derived_by(name, json.loads(model_args), tuple(shape) if shape else None)
    return TypeAdapter(Derivation).dump_json(derivation).decode()


def _release(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"
