"""The weights that a study starts from, asked for before anything trains: files, and what timm has published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from nas.documents.lookup import Lookup
from nas.errors import CheckpointError
from nas.studies.file.paths import absolute
from nas.studies.file.resolve import Resolved
from nas.studies.run.results import BASE, RETRAIN, STAGES, SUPERNET, Stage, StageResult

if TYPE_CHECKING:
    from nas.studies.file.config import StageRecipe


def check(study: Resolved, stages: Iterable[Stage[StageResult]]) -> None:
    """Raises `CheckpointError` where one of these stages begins with weights of timm's that are neither here nor to be
    fetched.
    """
    from nas.supernets.published import published

    for key, model in _asked(study, set(stages)):
        weights, where = published(model), f"{key.rpartition('.')[0]}.checkpoint, or a machine with a network"
        if weights.lacking:
            raise CheckpointError(
                f"{key}: found true, but timm's weights of {model} are {weights.lacking}; allowed: false, {where}"
            )


def absent(study: Resolved) -> Iterator[str]:
    """A clause for each key whose weights are not on this machine, of a study that was read without its files. No
    network is asked.
    """
    from nas.supernets.published import are_here, has_weights

    _, faults = absolute(study.document, Lookup.beside(study.document.name), ())
    yield from (f"{fault.key}: {fault.found}" for fault in faults)
    for key, model in _asked(study, set(STAGES)):
        if not has_weights(model):
            yield f"{key}: timm has none for {model}"
        elif not are_here(model):
            yield f"{key}: timm's weights of {model} are not on this machine; nas run fetches them"


def _asked(study: Resolved, stages: set[Stage[StageResult]]) -> Iterator[tuple[str, str]]:
    """Keys that ask for timm's weights, and of which model."""
    config = study.config
    if config.base.pretrained and BASE in stages:
        yield "base.pretrained", study.space.model
    recipes: dict[Stage[StageResult], StageRecipe] = {
        BASE: config.base, SUPERNET: config.supernet, RETRAIN: config.retrain
    }  # fmt: skip
    for stage, recipe in recipes.items():
        teacher = recipe.teacher
        if stage in stages and recipe.epochs and teacher is not None and teacher.pretrained and not teacher.own:
            yield f"{stage.name}.teacher.pretrained", teacher.model
