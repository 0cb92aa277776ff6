"""The search space of a file that is one, or that is a study's: that of its data and its task."""

from __future__ import annotations

from pathlib import Path

from nas.documents.document import in_order, read
from nas.documents.lookup import Lookup
from nas.documents.plugged import read_plugin
from nas.errors import ConfigError
from nas.searchspaces import SearchSpace
from nas.studies.file.config import RECIPES, TASK, StudyConfig
from nas.studies.file.paths import absolute
from nas.studies.file.presets import overridden
from nas.studies.file.subject import Kept, subject_of


def space_of(path: Path) -> SearchSpace:
    """The space, which is the same whatever the study bounds. Raises `ConfigError` with all that is wrong with it."""
    document = read(path)
    if not isinstance(document.data, dict) or "space" not in document.data:
        return SearchSpace.from_document(document)
    lookup = Lookup.beside(document.name)
    document, faults = absolute(overridden(document, {}, lookup), lookup, RECIPES)
    task, wrong = read_plugin(document, ("task",), TASK, default=str(StudyConfig.task))
    faults += wrong
    # What is bounded may need the very table that is about to be measured.
    for key, nothing in (("limit", {}), ("objectives", {}), ("latency", {}), ("energy", {}), ("memory", None)):
        document = document.replaced((key,), nothing)
    subject, wrong = subject_of(document, task, Kept())
    if subject is None or faults:
        raise ConfigError(in_order([*faults, *wrong]))
    return subject.space
