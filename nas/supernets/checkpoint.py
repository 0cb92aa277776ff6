"""Weights of a whole model from a file: one that this program wrote, or one that a user has.

A user's file may come from another program, for another number of classes or another image size; what it takes to fit
is asked of the model's family, which asks timm.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from pathlib import Path

from torch import Tensor, nn

from nas.errors import CheckpointError
from nas.supernets.checkpoint_file import read_weights
from nas.supernets.families import family_of
from nas.supernets.finite import not_finite

MISFITS = (RuntimeError, ValueError, KeyError, IndexError, AttributeError, TypeError, AssertionError)
"""What timm's functions raise for weights of another model."""


def load_weights(model: nn.Module, path: str | Path) -> tuple[str, ...]:
    """Load `path` into `model`, every parameter of it; returns what was done to make it fit, in words.

    Wrappers, prefixes, half precision and image sizes are mapped; a classifier of other classes, or one that the file
    lacks, stays as it was initialised. Raises `CheckpointError` for a file that is missing, damaged, that belongs to
    another model, or in which a value is not finite; `model` is then as it was.
    """
    path, wanted = Path(path), model.state_dict()
    family = family_of(model)
    weights = read_weights(path, family.names(model))
    try:
        with warnings.catch_warnings(action="ignore"):
            adapted = family.adapted(model, weights.tensors)
    except MISFITS as wrong:
        reason = (str(wrong).splitlines() or [""])[0] or type(wrong).__name__
        raise CheckpointError(f"{path}: not of this {type(model).__name__}: {reason}") from wrong
    notes = [*weights.notes, *_resampled(weights.tensors, adapted)]

    # A file of a detector's body leaves the rest as it was initialised.
    around = family.around(model)
    if around and not any(name in adapted for name in around):
        notes.append(f"weights of the body alone: {len(around)} entries around it start anew")
        adapted |= {name: wanted[name] for name in around}
    # A classifier of other classes is of another task: the model's own stays.
    classifier = [name for name in family.classifier(model) if name in wanted]
    lacking = [name for name in classifier if name not in adapted]
    other = [name for name in classifier if name in adapted and _classes(adapted[name]) != _classes(wanted[name])]
    if other or lacking == classifier != []:
        there, here = (_classes(tensors[other[0]]) if other else 0 for tensors in (adapted, wanted))
        classes = f"of {there} classes, the model has {here}" if other else "missing"
        notes.append(f"classifier {classes}: it starts anew")
        adapted |= {name: wanted[name] for name in classifier}
    if beside := [name for name in adapted if name in weights.aside and name not in wanted]:
        notes.append(f"left out: {_some(beside)}")
        adapted = {name: tensor for name, tensor in adapted.items() if name not in beside}

    _check_fits(model, path, adapted)
    if broken := not_finite(adapted):
        raise CheckpointError(f"{path}: {broken}; take a checkpoint from before that training went wrong")
    notes += _converted(adapted, wanted)
    model.load_state_dict(adapted)
    return tuple(notes)


def load_own_weights(model: nn.Module, path: Path) -> None:
    """Load a file that this program wrote into the model that it was written of. Raises `CheckpointError`."""
    _load_all(model, path, ())


def load_all_weights(model: nn.Module, path: Path) -> None:
    """Load a file, of any program, that holds all of the model: of any timm model, also one that can be no supernet.
    Raises `CheckpointError`.
    """
    _load_all(model, path, model.state_dict())


def _load_all(model: nn.Module, path: Path, names: Collection[str]) -> None:
    weights = read_weights(path, names).tensors
    _check_fits(model, path, weights)
    if broken := not_finite(weights):
        raise CheckpointError(f"{path}: {broken}; take a copy from before it went wrong")
    model.load_state_dict(weights)


def _check_fits(model: nn.Module, path: Path, weights: Mapping[str, Tensor]) -> None:
    """Raises `CheckpointError` unless every name of the model has a tensor of its shape, and there is no other."""
    wanted, of_another = model.state_dict(), f"{path}: not of this {type(model).__name__}"
    if missing := [name for name in wanted if name not in weights]:
        raise CheckpointError(f"{of_another}: it lacks {_some(missing)}")
    if unknown := [name for name in weights if name not in wanted]:
        raise CheckpointError(f"{of_another}: it also holds {_some(unknown)}")
    if misshapen := [name for name, tensor in wanted.items() if weights[name].shape != tensor.shape]:
        first = misshapen[0]
        shapes = f"{tuple(weights[first].shape)} there, {tuple(wanted[first].shape)} in the model"
        more = f", and {len(misshapen) - 1} more" if len(misshapen) > 1 else ""
        raise CheckpointError(f"{of_another}: '{first}' is {shapes}{more}")


def _classes(parameter: Tensor) -> int:
    """How many classes a classifier's weight or bias tells apart."""
    return parameter.shape[0] if parameter.dim() else 0


def _resampled(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> list[str]:
    """What was brought to another image or patch size."""
    changed = [name for name in after if name in before and before[name].shape != after[name].shape]
    if not changed:
        return []
    first = changed[0]
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return [f"resampled {first}{more}: {tuple(before[first].shape)} -> {tuple(after[first].shape)}"]


def _converted(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """Precisions that the model does not have."""
    others = {f"{weights[name].dtype} -> {wanted[name].dtype}" for name in wanted
              if weights[name].dtype != wanted[name].dtype}  # fmt: skip
    return [other.replace("torch.", "") for other in sorted(others)]


def _some(names: list[str]) -> str:
    return f"{len(names)} entries, first '{names[0]}'"
