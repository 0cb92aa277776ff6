"""An architecture that another run has found, retrained by this study: on its data, at its image size, by its recipe.

Its place is DIGEST-WEIGHTS in the folder `architectures` of the study's run, whose stages are not changed by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, final

from nas.errors import RunError, SpaceError, nearest
from nas.searchspaces import Architecture, SearchSpace
from nas.studies.file.config import StudyConfig
from nas.studies.run.folder import ARCHITECTURES, read_json, write_json
from nas.studies.run.found import FoundArchitecture
from nas.studies.run.record import Record
from nas.studies.run.results import BASE, PREPARE, RETRAIN, SUPERNET, Stage, StageResult
from nas.studies.run.rows import RETRAINED, RowResult
from nas.studies.run.seals import Checksum, of_file
from nas.studies.run.weights import WEIGHTS, load_factoring
from nas.studies.stages.measuring import row_of
from nas.studies.stages.retrain import retrain
from nas.studies.stages.supernets import FACTORING, SELECTION, Supernets
from nas.studies.stages.workshop import ORDERING, Workshop
from nas.supernets import Supernet, load, load_weights
from nas.system.terminal import Terminal

StartingWeights = Literal["scratch", "base", "supernet"]
STARTS: Mapping[str, StartingWeights] = {"scratch": "scratch", "base": "base", "supernet": "supernet"}


@final
@dataclass(frozen=True, kw_only=True)
class RetrainedFrom:
    """origin.json: what is retrained, from which weights, and the checksums of the files that these lie in. `run` is
    the other run whose supernet it is.
    """

    found: FoundArchitecture
    weights: StartingWeights
    run: str | None
    files: dict[str, Checksum]


def start_called(name: str) -> StartingWeights:
    """The weights that are called so. Raises `RunError`."""
    if name not in STARTS:
        raise RunError(f"weights: found '{name}'; allowed: {', '.join(STARTS)}{nearest(name, STARTS)}")
    return STARTS[name]


def in_space(found: FoundArchitecture, space: SearchSpace, study: str) -> Architecture:
    """The architecture as one of a study's space. Raises `SpaceError` that names a choice that the two do not share."""
    try:
        architecture = space.spelled(found.value)
        space.check(architecture)
    except SpaceError as fault:
        raise SpaceError(f"{found.digest} of {found.study} is not in the space of {study}: {fault}") from fault
    return architecture


def stage_before(config: StudyConfig, weights: StartingWeights, source: Record | None) -> Stage[StageResult]:
    """The last stage of the study's own run that is needed."""
    if weights == "supernet" and source is None:
        return SUPERNET
    return BASE if weights == "base" or config.retrain.loss == "distilled" else PREPARE


def retrain_elsewhere(
    workshop: Workshop, found: FoundArchitecture, weights: StartingWeights, source: Record | None
) -> RowResult:
    """Retrains it, if that was not done, and measures it on the test split, as a row but for latency.

    `weights` are fresh, the study's base model's, or those of a supernet: of the run `source`, or without it, of the
    study's own. Raises `RunError` where it was retrained from other weights before.
    """
    start = _Start(workshop, found, weights, source)
    architecture = in_space(found, workshop.space, workshop.config.name)
    own = f"-of-{source.label}" if source is not None and weights == "supernet" else ""
    place = workshop.folder.stage(ARCHITECTURES) / f"{architecture.digest}-{weights}{own}"
    _keep_origin(place, start.origin)
    retrain(workshop, lambda: start.supernet(place), architecture, None, place / "retrained")
    row_file = place / "row.json"
    if not row_file.exists():
        name, costs = f"{architecture.digest}{RETRAINED}", workshop.cost.counts(architecture)
        row = row_of(workshop, name, load(place / "retrained"), architecture.digest, costs, {}).row
        write_json(row_file, replace(row, strategy=found.strategy))
    return read_json(row_file, RowResult, remedy="delete it and run again")


def _keep_origin(place: Path, origin: RetrainedFrom) -> None:
    """Writes where a retraining starts, before it begins. Raises `RunError` where it began elsewhere."""
    path = place / "origin.json"
    if not path.exists():
        write_json(path, origin)
    before = read_json(path, RetrainedFrom, remedy=f"delete {place} and run again")
    if before.files != origin.files:
        raise RunError(f"{place}: began with weights that were made anew since; delete it to begin with today's")


@final
@dataclass(frozen=True)
class _Start:
    """The weights that a retraining starts from; see `retrain_elsewhere`."""

    workshop: Workshop
    found: FoundArchitecture
    weights: StartingWeights
    source: Record | None

    @property
    def origin(self) -> RetrainedFrom:
        """For the record. Raises `RunError` where files of the other run were changed."""
        folder, run = self._folder, None if self.source is None or self.weights != "supernet" else self.source.label
        files = {} if folder is None else {f"{folder.name}/{WEIGHTS}": of_file(folder / WEIGHTS)}
        return RetrainedFrom(found=self.found, weights=self.weights, run=run, files=files)

    def supernet(self, place: Path) -> Supernet:
        """The supernet with these weights; `place` is for the checkpoint of a criterion that trains."""
        if self.weights == "supernet":
            own = self.workshop.supernets.shared() if self.source is None else self._carried_over()
            return own.to(self.workshop.device)
        if self.weights == "scratch":
            return Supernet(self.workshop.fresh_model(), self.workshop.space).to(self.workshop.device)
        supernet = Supernet(self.workshop.base_model(), self.workshop.space)
        work = self.workshop.workplace(RETRAIN, "importance", place / ORDERING)
        self.workshop.study.importance.apply(supernet, work)
        return supernet

    @property
    def _folder(self) -> Path | None:
        """Where the weights lie."""
        if self.weights == "scratch":
            return None
        if self.weights == "base":
            return self.workshop.folder.path / BASE.name
        if self.source is None:
            return self.workshop.folder.path / SUPERNET.name
        record, space = self.source, self.workshop.space
        stage = Supernets(record.folder, space, record.strategy, self.workshop.device, lambda: None).source(
            self.found.strategy
        )
        record.folder.need(stage)
        record.folder.verify(stage)
        return record.folder.path / stage.name

    def _carried_over(self) -> Supernet:
        """The other run's supernet as one of this study: at its image size, for its classes."""
        folder = self._folder
        assert folder is not None
        model = self.workshop.fresh_model()
        notes = list(load_weights(model, folder / WEIGHTS))
        supernet = Supernet(model, self.workshop.space)
        orders = read_json(folder / SELECTION, dict[str, list[int]], remedy=f"run that one again: {folder.parent}")
        axes = supernet.table.frame.axes
        fitting = {axis: order for axis, order in orders.items() if len(order) == axes.get(axis)}
        if lost := [axis for axis in orders if axis not in fitting]:
            notes.append(f"units of {', '.join(lost[:3])} are others here: they stay in the model's own order")
        supernet.selection.load(fitting)
        supernet.factor_by(load_factoring(folder / FACTORING))
        for note in notes:
            Terminal(stderr=True).say(f"note: {folder}: {note}")
        return supernet
