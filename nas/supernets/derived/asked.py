"""What is derived of a model that somebody names, within bounds of time and memory, and remembered; and its proof."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import TypeAdapter

from nas.supernets.anatomy import GIBIBYTES, SECONDS, made_by
from nas.supernets.derived.derivation import Derivation
from nas.supernets.derived.proof import Proof
from nas.supernets.derived.sources import built_by, derived_by, full_name, image_of, library, without_values
from nas.system import user_cache
from nas.system.bounded import bounded
from nas.trusted import is_code, require_trusted_code, trust_code


def derivation_by(
    name: str, model_args: Mapping[str, Any], side: int | None = None, seconds: float = SECONDS
) -> Derivation:
    """The axes of a model by its name (see `nas.supernets.derived.sources`), on images of so many pixels' side, or of
    its own size.

    It is remembered by name, arguments and versions, but for a function of the user's, whose file may change. Raises
    `ModelError` for a model that cannot be built or captured, `NasError` where that takes more than is allowed.
    """
    require_trusted_code(name)
    about = {"derived": name, "model_args": dict(model_args), "image": side, "library": _release(library(name))}
    about |= made_by()
    if not is_code(name) and (known := user_cache.recall(Derivation, about)) is not None:
        return known
    arguments = name, json.dumps(dict(model_args)), side
    text = bounded(answer, *arguments, seconds=seconds, gibibytes=GIBIBYTES, task=f"the axes of '{name}'")
    derivation = TypeAdapter(Derivation).validate_json(text)
    if not is_code(name):
        user_cache.remember(derivation, about)
    return derivation


def proofs_of(
    name: str, model_args: Mapping[str, Any], side: int | None = None, seconds: float = SECONDS
) -> list[Proof]:
    """The proof of what is derived of a model: a verdict for each kind of axes. Raises as `derivation_by`."""
    require_trusted_code(name)
    arguments = name, json.dumps(dict(model_args)), side
    text = bounded(verdicts, *arguments, seconds=seconds, gibibytes=GIBIBYTES, task=f"the proof of '{name}'")
    return TypeAdapter(list[Proof]).validate_json(text)


def answer(name: str, model_args: str, side: int | None) -> str:
    """In the process that may take long: the derivation as JSON, of arguments as JSON."""
    import torch

    torch.set_num_threads(1)  # nothing has values
    trust_code(name)  # whoever asked was allowed to
    derivation = derived_by(name, json.loads(model_args), side)
    return TypeAdapter(Derivation).dump_json(derivation).decode()


def verdicts(name: str, model_args: str, side: int | None) -> str:
    """In the process that may take long: the verdicts as JSON, of arguments as JSON."""
    from nas.supernets.derived.checking import check

    trust_code(name)
    name, arguments = full_name(name), json.loads(model_args)
    shape = image_of(without_values(name, arguments), arguments, side)
    proofs = list(check(built_by(name, arguments), shape))
    return TypeAdapter(list[Proof]).dump_json(proofs).decode()


def _release(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"
