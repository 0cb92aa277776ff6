"""A study as a Python program says it, turned into what a YAML file would say: from there on both are the same.

Objects become what YAML calls them: a strategy, a rule or a task its name and the options that differ from their
defaults, a module or a data set a name that this process knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nas import plugins
from nas.data import DataSpec, own
from nas.data.own import OwnData
from nas.documents.document import Document, read
from nas.documents.text import Plain
from nas.errors import ConfigError, DataError, Fault, ModelError, NasError, StrategyError, TaskError, TrainingError
from nas.importance import Importance
from nas.preprocessing import sides
from nas.search import Strategy
from nas.studies.file.resolve import Resolved
from nas.studies.measure.pictures import NAMES
from nas.supernets.own import is_own, own_module, own_name
from nas.tasks import Task
from nas.training.rules import SupernetRule

WHERE = "Study(...)"
"""What faults call the program."""
PLUGGED: Mapping[type, tuple[str, type[NasError]]] = {
    Strategy: ("nas.strategies", StrategyError),
    SupernetRule: ("nas.training.rules", TrainingError),
    Importance: ("nas.importance", StrategyError),
    Task: ("nas.tasks", TaskError),
}
"""Base class of plug-ins -> their folder, and what is raised for a name that is taken."""
SAMPLE = 64
"""Pictures by which it is judged whether all are squares of one size."""
SpaceLike = str | Path | Mapping[str, Any]
"""A file, a space as in YAML, or its choices alone."""
PicturesLike = str | Path | Mapping[str, Any] | DataSpec | OwnData
"""What stands behind `data:` in YAML, a path, "digits", or data of one's own: a data set, or a mapping in which some
values are one, {"train": ..., "test": ..., "validation": 0.2}.
"""


def document_of(
    space: SpaceLike, data: PicturesLike, model: nn.Module | str | None, limit: object, settings: Mapping[str, Any]
) -> Document:
    """The document that says the same. Raises `ConfigError`, `ModelError` or `DataError` for what cannot be said."""
    name = str(settings.get("name", "study"))
    said: dict[str, Plain] = {
        "name": name,
        "space": _space(space, model),
        "data": _data(data, name),
        **({} if limit is None else {"limit": _limit(limit)}),
        **{key: plain(value) for key, value in settings.items()},
    }
    return Document(WHERE, said, {})


def plain(value: Any) -> Any:
    """A value as YAML would say it."""
    for base, (package, error) in PLUGGED.items():
        if isinstance(value, base):
            return {"use": plugins.name_of(package, type(value), error), **_changed(value)}
    if is_dataclass(value) and not isinstance(value, type):
        return _changed(value)
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def _changed(options: Any) -> dict[str, Any]:
    """The options that differ from their defaults: others need not be said, and may be none that are read."""
    every: Iterable[Field[Any]] = fields(options)
    return {
        one.name: plain(getattr(options, one.name))
        for one in every
        if one.init and getattr(options, one.name) != _default(one)
    }


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _space(space: SpaceLike, model: nn.Module | str | None) -> Plain:
    if model is None:
        alone: Plain = plain(space)
        return alone
    said: Any = read(space).data if isinstance(space, str | Path) else plain(space)
    if not isinstance(said, dict):
        raise ConfigError([Fault(WHERE, "space", "no mapping", "choices, or a file that has some")])
    choices = said.get("choices", said)
    args = {} if isinstance(model, nn.Module) or not said.get("model_args") else {"model_args": said["model_args"]}
    return {"model": own_name(model) if isinstance(model, nn.Module) else model, **args, "choices": choices}


def _data(data: PicturesLike, name: str) -> Plain:
    if isinstance(data, str | Path):
        text = str(data)
        return {"name" if text in NAMES and not Path(text).exists() else "path": text}
    if isinstance(data, DataSpec):
        return _changed(data)
    if isinstance(data, Mapping):
        options = {key: plain(value) for key, value in data.items() if not _is_data_set(value)}
        splits = {key: value for key, value in data.items() if _is_data_set(value)}
        return {**options, **(_named(splits, name) if splits else {})}
    if not _is_data_set(data):
        raise DataError(f"data: found a {type(data).__name__}; allowed: a path, what stands in YAML, or a data set "
                        f"with a length whose items are {own.NEEDED}")  # fmt: skip
    return _named(data, name)


def _named(data: OwnData, name: str) -> dict[str, Plain]:
    """Data of one's own by their name, and the size of their pictures where all have the same."""
    named = own.own_name(data, name)
    train = own.own_source(named).train
    side = train.images.native_size(train.indices[:SAMPLE])
    return {"name": named, **({} if side is None else {"image_size": side})}


def _is_data_set(part: object) -> bool:
    """Whether it has a length and items, and is no text and no number, as values in YAML are."""
    return hasattr(part, "__len__") and hasattr(part, "__getitem__") and not isinstance(part, str | list | tuple | dict)


def _limit(limit: object) -> Plain:
    """A mapping, or its text: "macs: 50%"."""
    if not isinstance(limit, str):
        return plain(limit)  # type: ignore[no-any-return]
    return read(limit if limit.lstrip().startswith("{") else f"{{{limit}}}").data


def check_outputs(study: Resolved) -> None:
    """Raises `ModelError` for a module of one's own that does not give a number for each class."""
    if not is_own(study.space.model) or study.facts is None or study.facts.truth != "class":
        return
    module = own_module(study.space.model).eval()
    first = next(iter(module.parameters()))
    images = torch.zeros(2, study.facts.channels, *sides(study.image_size), device=first.device, dtype=first.dtype)
    try:
        with torch.no_grad():
            outputs = module(images)
    except Exception as fault:  # whatever a forward does with images that it was not written for
        reason = (str(fault).splitlines() or [""])[0] or type(fault).__name__
        raise ModelError(
            f"model: its forward refuses images of {' x '.join(map(str, images.shape))}: {reason}"
        ) from fault
    shape = tuple(getattr(outputs, "shape", ()))
    if shape != (2, study.facts.classes):
        raise ModelError(
            f"model: of 2 images its outputs are of shape {shape}; needed: {(2, study.facts.classes)}, a number for "
            "each class of the data"
        )
