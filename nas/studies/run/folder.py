"""A run's folder on disk: whole files or none, one driver at a time, and a result per stage that says the stage is
done.

A file appears by rename after its bytes are on the disk, so that a process killed at any moment leaves the old file or
the new one, never half of one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar, final

from pydantic import JsonValue, ValidationError
from safetensors import SafetensorError

from nas.errors import RunError
from nas.studies.run.results import EXTRACT, STAGES, Stage, StageResult, Stamp
from nas.studies.run.typed_json import parsed, plain, said
from nas.system.files import EVERYBODY, first_link, open_lock, replace_file, replacing_folder

T = TypeVar("T")
R = TypeVar("R", bound=StageResult)

TAU = "tau"
"""Where `nas tau` keeps what it finds: a file per answer, and a folder per recipe with a file per retrained
architecture.
"""
TRIALS = "trials.sqlite"
"""The table of trials, unless the study names another one."""
OURS = ("study.yaml", "run.json", "prior.json", "lock", *(f"{TRIALS}{end}" for end in ("", "-wal", "-shm", "-journal")))
"""Files of a run's folder, beside the folders of its stages."""


@final
class RunFolder:
    """The folder of one run. Every fault of the disk becomes a `RunError` that names the file and says what to do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def study_file(self) -> Path:
        """The fully resolved study; a folder without it holds no run."""
        return self.path / "study.yaml"

    @property
    def prior_file(self) -> Path:
        """Trials of earlier runs that this one may learn from."""
        return self.path / "prior.json"

    def check_links(self) -> None:
        """Raises `RunError` for a link among what runs keep: what is read is this folder's, and nothing is written
        elsewhere. The folder itself may be one, and so may what others have put there.
        """
        ours = {*OURS, TAU, *(stage.name for stage in STAGES)}
        with _disk(self.path, "read"):
            entries = sorted(self.path.iterdir()) if self.path.is_dir() else []
            links = (first_link(entry) for entry in entries if entry.name in ours)
            link = next(filter(None, links), None)
        if link is not None:
            raise RunError(f"{link}: a link, which a run's folder may not hold; put what it points at in its place")

    @property
    def exists(self) -> bool:
        """Whether a run was ever begun here."""
        return self.study_file.is_file()

    def stage(self, stage: str) -> Path:
        """The folder of a stage, made when it is not there."""
        self.check_links()
        with _disk(self.path / stage, "make"):
            (self.path / stage).mkdir(parents=True, exist_ok=True)
        return self.path / stage

    def result(self, stage: Stage[R]) -> R | None:
        """What a finished stage left, None while it is not finished."""
        path = self.path / stage.name / "result.json"
        if not path.exists():
            return None
        return read_json(path, stage.result, remedy=self._redo(stage.name))

    def need(self, stage: Stage[R]) -> R:
        """The result of a stage, or a `RunError` that says how to get it."""
        result = self.result(stage)
        if result is None:
            raise RunError(
                f"{self.path}: the stage '{stage}' is not finished; run the study again to continue it: nas run "
                f"{self.path}"
            )
        return result

    def stamp(self, stage: Stage[StageResult]) -> Stamp:
        """How long a finished stage took, and which commit ran it. Raises `RunError` when it is not finished."""
        self.need(stage)
        return read_json(self.path / stage.name / "result.json", Stamp, remedy=self._redo(stage.name))

    def finish(self, stage: Stage[R], result: R, stamp: Stamp) -> None:
        """Marks a stage as done. Write everything else of the stage before."""
        _write_plain(self.stage(stage.name) / "result.json", {**plain(result), **plain(stamp)})

    def forget_after(self, stage: Stage[StageResult]) -> None:
        """Drops the results of the stages after this one: they were made from what is about to be made anew. Those of
        `nas tau` come after `explore`.
        """
        # Answers of `nas tau` are about the supernet and the search: stages from `extract` on leave them alone.
        later = STAGES[STAGES.index(stage) + 1 :]
        names = [other.name for other in later]
        for name in (*names, TAU) if EXTRACT in later else names:
            path = self.path / name
            if path.exists():
                with _disk(path, "delete"):
                    shutil.rmtree(path)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the folder for one driver; the system lets go of it when the process dies, however it dies.

        Raises `RunError` when another process holds it.
        """
        path = self.path / "lock"
        with _disk(path, "open"):
            self.path.mkdir(parents=True, exist_ok=True)
            self.check_links()
            handle = os.fdopen(open_lock(path), "a")
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"{self.path}: another process is running this study; wait for it, or choose another folder with "
                    "--folder"
                ) from None
            yield

    def _redo(self, stage: str) -> str:
        return f"delete the folder '{self.path / stage}' and run again: the stage is then redone"


def write_bytes(path: Path, content: bytes, mode: int = EVERYBODY) -> None:
    """Writes a file whole or not at all, and waits until it is on the disk."""
    with _disk(path, "write"):
        replace_file(path, content, mode)


def write_json(path: Path, value: object) -> None:
    """Writes a dataclass as JSON, whole or not at all."""
    _write_plain(path, plain(value))


def read_json(path: Path, kind: type[T], *, remedy: str) -> T:
    """What `write_json` wrote, as a `kind`; `remedy` ends the message of the `RunError` for a damaged file."""
    with _disk(path, "read"):
        content = path.read_bytes()
    try:
        return parsed(kind, content)
    except ValidationError as fault:
        raise RunError(f"{path}: damaged, {said(fault)}; {remedy}") from fault


@contextlib.contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, see `nas.system.files.replacing_folder`."""
    with _disk(path, "write"), replacing_folder(path) as partial:
        yield partial


@contextlib.contextmanager
def _disk(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
        raise RunError(
            f"cannot {verb} '{path}': {reason}; mend that and run the same command again: nothing finished is lost"
        ) from fault


def _write_plain(path: Path, data: Mapping[str, JsonValue]) -> None:
    write_bytes(path, (json.dumps(data, indent=1, allow_nan=False) + "\n").encode())
