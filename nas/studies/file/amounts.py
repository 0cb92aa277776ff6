"""What a study says of quantities: whether there are such, and whether their amounts can be read."""

from __future__ import annotations

import re
from collections.abc import Iterable

from nas import quantities
from nas.documents.document import Document
from nas.documents.fields import marked
from nas.documents.markers import QuantityBounds, QuantityGoals
from nas.documents.mistakes import shown
from nas.documents.text import KeyPath
from nas.errors import Fault, QuantityError, nearest
from nas.quantities import Quantity
from nas.studies.file.config import StudyConfig
from nas.tasks import Task


def amount_faults(document: Document, task: Task | None) -> list[Fault]:
    """Unknown quantities, each with the nearest name, and amounts that cannot be read. Without a task, objectives are
    not looked at.
    """
    faults = []
    for path, marker in marked(StudyConfig, document.data):
        mapping = document.get(path)
        if not isinstance(mapping, dict):
            continue
        if isinstance(marker, QuantityBounds):
            faults += _bound_faults(document, path, mapping)
        elif isinstance(marker, QuantityGoals) and task is not None:
            faults += _unknown(document, path, mapping, _goals(task, mapping))
    return faults


def idle_bounds(document: Document) -> list[Fault]:
    """Bounds that every architecture keeps to: a limit that limits nothing is none that anybody wants."""
    faults = []
    for path, marker in marked(StudyConfig, document.data):
        bounds = document.get(path)
        if isinstance(marker, QuantityBounds) and isinstance(bounds, dict):
            faults += [
                document.fault((*path, name), f"{shown(bound)}, which bounds nothing", "a most, or a least above 0")
                for name, bound in bounds.items()
                if isinstance(bound, list) and len(bound) == 2 and bound[1] is None and _none(bound[0])
            ]
    return faults


def _none(amount: object) -> bool:
    """Whether an amount is left open, or 0 of whatever unit."""
    return amount is None or re.fullmatch(r"\s*[-+]?0*\.?0*\s*\D*", str(amount)) is not None


def _bound_faults(document: Document, at: KeyPath, bounds: Iterable[str]) -> list[Fault]:
    """What is wrong with the mapping of counted quantities to bounds that lies at a path."""
    counted = {quantity.name: quantity for quantity in quantities.every_cost(bounds)}
    faults = _unknown(document, at, (name for name in bounds if name not in counted), _usual())
    for name in filter(counted.__contains__, bounds):
        bound = document.get((*at, name))
        # A band is a list of two, each of which may be wrong.
        for path in [(*at, name, end) for end in range(len(bound))] if isinstance(bound, list) else [(*at, name)]:
            faults += _unreadable(document, path, counted[name])
    return faults


def _goals(task: Task, wanted: Iterable[str]) -> list[str]:
    """What can be an objective: the task's metrics, and all quantities, those that are counted first."""
    metrics, costs = ([quantity.name for quantity in group] for group in (task.metrics, quantities.every_cost(wanted)))
    return list(dict.fromkeys([*metrics, *costs, *quantities.names()]))


def _usual() -> list[str]:
    """What can be bounded of every model."""
    return [quantity.name for quantity in quantities.costs()]


def _unknown(document: Document, at: KeyPath, names: Iterable[str], allowed: Iterable[str]) -> list[Fault]:
    known = list(allowed)
    return [
        document.fault((*at, name), f"'{name}'", ", ".join(known) + nearest(name, known))
        for name in names
        if name not in known
    ]


def _unreadable(document: Document, path: KeyPath, quantity: Quantity) -> list[Fault]:
    amount = document.get(path)
    if not isinstance(amount, int | float | str) or isinstance(amount, bool):
        return []  # an open end, or a fault of the field's type
    try:
        quantity.read(amount)
    except QuantityError:
        return [document.fault(path, shown(amount), quantity.allowed)]
    return []
