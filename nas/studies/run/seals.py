"""Seals: the checksums that a finished stage leaves in its result.json, so that what was changed afterwards, by hand or
by a failing disk, is found when it is read, and not believed.

They are no signature: whoever wants to deceive can make new ones. Runs of versions without seals are read as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, final

from pydantic import Field

from nas.studies.run.typed_json import absent

if TYPE_CHECKING:
    from nas.search.trial import Trial

Checksum = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256, in hexadecimal digits."""


@final
@dataclass(frozen=True, kw_only=True)
class Seal:
    """What a stage was made of, and what it left.

    settings   checksum of what study.yaml said; None in a run that an earlier version began
    files      path in the stage's folder -> checksum of that file
    trials     checksum of the run's trials, where the stage is the one that ends with them
    """

    settings: Annotated[Checksum | None, Field(exclude_if=absent)] = None
    files: dict[str, Checksum]
    trials: Annotated[Checksum | None, Field(exclude_if=absent)] = None


def of_file(path: Path) -> str:
    """Checksum of a file. Raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_bytes(content: bytes) -> str:
    """Checksum of the content of a file."""
    return hashlib.sha256(content).hexdigest()


def of_files(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Checksums of the files of a folder that are there, by their paths in it."""
    return {name: of_file(folder / name) for name in names if (folder / name).is_file()}


def of_trials(trials: Iterable[Trial]) -> str:
    """Checksum of all that is known of trials, in whatever order they were recorded."""
    rows = sorted(
        [
            trial.strategy,
            trial.number,
            trial.seed,
            trial.architecture.digest,
            dict(trial.metrics),
            dict(trial.costs),
            trial.seconds,
            trial.state,
            trial.error,
            trial.cached,
            dict(trial.notes),
        ]
        for trial in trials
    )
    return of_data(rows)


def of_data(data: object) -> str:
    """Checksum of plain data, whatever the order of its keys."""
    return of_bytes(json.dumps(data, sort_keys=True).encode())
