"""What a study says of quantities: whether there are such, and whether their amounts can be read."""

from __future__ import annotations

from collections.abc import Iterable

from nas import quantities
from nas.documents.document import Document
from nas.documents.fields import marked
from nas.documents.markers import QuantityBounds, QuantityGoals
from nas.documents.mistakes import shown
from nas.documents.text import KeyPath, Plain
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
            faults += _unknown(document, path, mapping, wanted(task))
    return faults


def wanted(task: Task) -> list[str]:
    """What can be an objective: the task's metrics, and all quantities, those that are counted first."""
    quantity_names = [quantity.name for quantity in quantities.costs()]
    return list(dict.fromkeys([*(metric.name for metric in task.metrics), *quantity_names, *quantities.names()]))


def _bound_faults(document: Document, at: KeyPath, bounds: dict[str, Plain]) -> list[Fault]:
    counted = {quantity.name: quantity for quantity in quantities.costs()}
    faults = _unknown(document, at, bounds, counted)
    for name, bound in bounds.items():
        if name in counted and isinstance(bound, list):
            for position, amount in enumerate(bound):
                faults += _unreadable(document, (*at, name, position), counted[name], amount)
        elif name in counted:
            faults += _unreadable(document, (*at, name), counted[name], bound)
    return faults


def _unknown(document: Document, at: KeyPath, names: Iterable[str], allowed: Iterable[str]) -> list[Fault]:
    known = list(allowed)
    return [
        document.fault((*at, name), f"'{name}'", ", ".join(known) + nearest(name, known))
        for name in names
        if name not in known
    ]


def _unreadable(document: Document, path: KeyPath, quantity: Quantity, amount: Plain) -> list[Fault]:
    if not isinstance(amount, int | float | str) or isinstance(amount, bool):
        return []  # a fault of the field's type
    try:
        quantity.read(amount)
    except QuantityError:
        return [document.fault(path, shown(amount), quantity.allowed)]
    return []
