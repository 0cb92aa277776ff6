"""An architecture as a file of its own, so that it can be extracted or retrained elsewhere: what was chosen, in which
space, what it costs, and who found it. There are no weights in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, final

from pydantic import JsonValue, model_validator

from nas.documents.document import Document
from nas.errors import RunError
from nas.searchspaces.architecture import Architecture
from nas.studies.run.described import DataFacts
from nas.studies.run.folder import read_json, write_json
from nas.studies.run.record import Record
from nas.studies.run.results import PREPARE
from nas.studies.run.rows import WINNER, ChosenValues, Costs

if TYPE_CHECKING:
    from nas.searchspaces import SearchSpace

REMEDY = "write one with: nas export RUN --architecture FILE"
LARGEST = 2**24
"""Bytes of a file that is read."""


@final
@dataclass(frozen=True, kw_only=True)
class FoundSpace:
    """A search space as its YAML says it; the arguments of the model are complete."""

    model: str
    model_args: dict[str, JsonValue]
    choices: dict[str, dict[str, JsonValue]]


@final
@dataclass(frozen=True, kw_only=True)
class FoundArchitecture:
    """The file.

    study      the run that found it: its name, and the beginning of its id
    strategy   that found it
    costs      counted quantities, in its own space
    data       on which it was measured
    commit     of the run
    """

    format: Literal[1] = 1
    study: str
    strategy: str
    digest: str
    architecture: ChosenValues
    costs: Costs
    space: FoundSpace
    data: DataFacts
    commit: str

    @model_validator(mode="after")
    def _itself(self) -> Self:
        if self.value.digest != self.digest:
            raise ValueError("the digest of its architecture")
        return self

    @property
    def value(self) -> Architecture:
        """The architecture itself."""
        return Architecture(self.architecture)

    def search_space(self, file: str) -> SearchSpace:
        """The space that it was found in; `file` is what messages call it. Raises `ConfigError` for what is none."""
        from nas.searchspaces import SearchSpace

        space = {"model": self.space.model, "choices": self.space.choices}
        document = Document(file, {"space": space}, {})
        return SearchSpace.from_document(document, ("space",), model_args=self.space.model_args)

    def write(self, path: Path) -> None:
        """Writes the file, with a checksum. Raises `RunError`."""
        write_json(path, self)

    @classmethod
    def read(cls, path: Path) -> FoundArchitecture:
        """Reads what `write` wrote. Raises `RunError` for a file that is missing, damaged, or something else."""
        if not path.is_file() or path.stat().st_size > LARGEST:
            found = "something else, or too large a file" if path.exists() else "no such file"
            raise RunError(f"{path}: found {found}; allowed: an architecture's file; {REMEDY}")
        return read_json(path, cls, remedy=REMEDY)


def found_by(record: Record, *, digest: str | None = None, number: int | None = None) -> FoundArchitecture:
    """An architecture of a run: the winner, one by the first letters of its digest, or that of a trial of the study's
    strategy. Raises `RunError` where there is none.
    """
    if digest is not None and number is not None:
        raise RunError("name an architecture by its digest or by its trial's number, not by both")
    if digest is None and number is None:
        best = record.folder.roles()[WINNER]
        architecture, strategy, costs = Architecture(best.architecture), best.strategy, best.costs
    else:
        trial = record.find(digest=digest, number=number)
        architecture, strategy, costs = trial.architecture, trial.strategy, dict(trial.costs)
    prepared, space = record.result(PREPARE), record.settings["space"]
    assert isinstance(space, dict), "settings are complete"
    return FoundArchitecture(
        study=record.label,
        strategy=strategy,
        digest=architecture.digest,
        architecture=dict(architecture),
        costs=costs,
        space=FoundSpace(model=prepared.space.model, model_args=prepared.space.model_args, choices=space["choices"]),
        data=prepared.data,
        commit=record.identity.commit,
    )
