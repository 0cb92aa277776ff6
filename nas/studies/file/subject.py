"""What a study is about: its data, its space on these data, what architectures cost, and the limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from nas.data import DataSpec, Listing, inspect_data, list_images
from nas.documents.document import Document, attempt
from nas.documents.mistakes import shown
from nas.documents.text import KeyPath
from nas.errors import ConfigError, DataError, Fault, LimitError
from nas.latency.table import LatencyTable
from nas.preprocessing import ImageSize
from nas.searchspaces import Limit, SearchSpace
from nas.studies.file.config import Bounds
from nas.studies.file.tables import KeptTables, memory_in, tables_of
from nas.supernets import Cost
from nas.supernets.of_space import cost_of
from nas.supernets.own import of_user, says_image_size
from nas.tasks import Facts, Task, TruthKind

TRUTHS: dict[TruthKind, str] = {"class": "classes", "boxes": "boxes", "masks": "boxes and masks"}
"""What is known of pictures, in words."""


@final
@dataclass(frozen=True)
class Kept:
    """What a run that was prepared has kept: the listing of its data (see `nas.data.list_images`), and its tables."""

    index: Path | None = None
    tables: KeptTables | None = None


@final
@dataclass(frozen=True)
class SearchedSpace:
    """The data's facts, and what follows from them: the space, its costs, and the limit if there is one. Without data
    (`facts` is None) the space is that of the model as the study gives it.
    """

    facts: Facts | None
    listing: Listing | None
    """Of the data, where it is a set of pictures."""
    space: SearchSpace
    cost: Cost
    limit: Limit | None
    tables: Mapping[str, LatencyTable] = field(default_factory=dict)
    """Quantity ("latency", "latency.phone") -> the table that tells it."""


def subject_of(
    document: Document, task: Task | None, kept: Kept, *, without_files: bool = False
) -> tuple[SearchedSpace | None, list[Fault]]:
    """What the study is about, None where its data, space or table cannot be read; and what is wrong with any of it.
    Data that are nowhere are no fault `without_files`.
    """
    spec, _ = attempt(document, DataSpec, ("data",))  # its own faults are named where the whole study is read
    nowhere = without_files and spec is not None and _nowhere(spec)
    facts, listing, faults = (None, None, []) if nowhere else _facts(document, spec, kept.index)
    if facts is not None and task is not None and facts.truth not in task.learns_from:
        wanted = " or ".join(TRUTHS[truth] for truth in task.learns_from)
        faults.append(document.fault(("data",), f"pictures with {TRUTHS[facts.truth]}", f"for this task: {wanted}"))
        return None, faults
    space, wrong = _space(document, facts, task, _image_size(document, spec, facts))
    faults += wrong
    if space is None or (facts is None and not nowhere):
        return None, faults
    tables, wrong = tables_of(document, space, kept.tables)
    memory, unknown = memory_in(document, space)
    if wrong or unknown:
        return None, [*faults, *wrong, *unknown]
    cost = cost_of(space).beside({**memory, **{name: table.tabulated(space) for name, table in tables.items()}})
    limit, wrong = _limit(document, cost)
    return SearchedSpace(facts, listing, space, cost, limit, tables), [*faults, *wrong]


def _nowhere(spec: DataSpec) -> bool:
    """Whether the files of the data set are not where the study says that they are, or it does not say where."""
    if spec.name == "digits":
        return False
    try:
        return spec.path is None or not Path(spec.path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # no path at all, which is a fault wherever the study is read
        return False


def _facts(
    document: Document, spec: DataSpec | None, index: Path | None
) -> tuple[Facts | None, Listing | None, list[Fault]]:
    if spec is None:
        return None, None, []
    try:
        listing = list_images(spec, index)
        return inspect_data(spec, listing), listing, []
    except DataError as refusal:
        return None, None, [document.fault(("data",), str(refusal), "a data set that can be read")]


def _image_size(document: Document, spec: DataSpec | None, facts: Facts | None) -> ImageSize | None:
    """What the study asks for; of a user's own model that says no size, that of the images, where all have the same."""
    if spec is None or spec.image_size is not None or facts is None:
        return None if spec is None else spec.image_size
    model, own_args = document.get(("space", "model")), document.get(("space", "model_args"))
    if not of_user(model) or says_image_size(str(model), own_args if isinstance(own_args, dict) else {}):
        return None
    return facts.image_size


def _space(
    document: Document, facts: Facts | None, task: Task | None, image_size: ImageSize | None
) -> tuple[SearchSpace | None, list[Fault]]:
    """The search space for the data and the task: they say with what arguments the model is built; and for the image
    size that the study asks for.
    """
    if not isinstance(document.get(("space",)), dict):
        return None, []
    model_args: dict[str, Any] = {}
    if task is not None:
        model_args = task.usual_args() if facts is None else task.model_args(facts)
    if image_size is not None:
        model_args["img_size"] = list(image_size) if isinstance(image_size, tuple) else image_size
    try:
        return SearchSpace.from_document(document, ("space",), model_args=model_args), []
    except ConfigError as refusal:
        return None, list(refusal.faults)


def _limit(document: Document, cost: Cost) -> tuple[Limit | None, list[Fault]]:
    """The study's limit; each bound that cannot be kept is a fault at its own key."""
    bounds, _ = attempt(document, Bounds, ("limit",))  # type: ignore[type-abstract]
    if not bounds:
        return None, []

    def fault_of(path: KeyPath, refusal: LimitError) -> Fault:
        return document.fault(path, f"{shown(document.get(path))} ({refusal})", "what architectures of the space cost")

    try:
        return Limit(cost, **bounds), []
    except LimitError as joint:
        # Which bound is it? One that nothing keeps to by itself; or none of them, but all together.
        alone = []
        for name, bound in bounds.items():
            try:
                Limit(cost, **{name: bound})
            except LimitError as refusal:
                alone.append(fault_of(("limit", name), refusal))
        return None, alone or [fault_of(("limit",), joint)]
