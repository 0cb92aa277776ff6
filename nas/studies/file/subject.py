"""What a study is about: its data, its space on these data, what architectures cost, and the limit."""

from __future__ import annotations

from typing import Any

from nas.data import DataSpec, inspect_data
from nas.documents.document import Document, attempt
from nas.documents.mistakes import shown
from nas.documents.text import KeyPath
from nas.errors import ConfigError, DataError, Fault, LimitError
from nas.searchspaces import Limit, SearchSpace
from nas.studies.file.config import Bounds
from nas.supernets import Cost
from nas.tasks import Facts, Task


def facts_of(document: Document, faults: list[Fault]) -> Facts | None:
    """What the model must know of the data; adds to `faults`."""
    spec, _ = attempt(document, DataSpec, ("data",))
    if spec is None:
        return None
    try:
        return inspect_data(spec)
    except DataError as fault:
        faults.append(document.fault(("data",), str(fault), "images that can be read"))
        return None


def space_of(document: Document, facts: Facts | None, task: Task | None, faults: list[Fault]) -> SearchSpace | None:
    """The search space for the data and the task, which say with what arguments the model is built, maybe its image
    size; adds to `faults`.
    """
    if not isinstance(document.get(("space",)), dict):
        return None
    model_args: dict[str, Any] = {}
    if facts is not None and task is not None:
        model_args = task.model_args(facts)
    size = document.get(("data", "image_size"))
    if isinstance(size, int) and not isinstance(size, bool):
        model_args["img_size"] = size
    try:
        return SearchSpace.from_document(document, ("space",), model_args=model_args)
    except ConfigError as refusal:
        faults.extend(refusal.faults)
        return None


def limit_of(document: Document, cost: Cost, faults: list[Fault]) -> Limit | None:
    """The study's limit; each bound that cannot be kept is a fault at its own key, and is added to `faults`."""
    bounds, _ = attempt(document, Bounds, ("limit",))  # type: ignore[type-abstract]
    if not bounds or any(fault.key.startswith("limit") for fault in faults):
        return None

    def fault_of(path: KeyPath, refusal: LimitError) -> Fault:
        return document.fault(path, f"{shown(document.get(path))} ({refusal})", "what architectures of the space cost")

    try:
        return Limit(cost, **bounds)
    except LimitError as joint:
        alone = []
        for name, bound in bounds.items():
            try:
                Limit(cost, **{name: bound})
            except LimitError as refusal:
                alone.append(fault_of(("limit", name), refusal))
        faults.extend(alone or [fault_of(("limit",), joint)])
        return None
