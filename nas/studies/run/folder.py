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
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar, final

from pydantic import JsonValue, ValidationError
from safetensors import SafetensorError

from nas.errors import RunError
from nas.studies.run import seals
from nas.studies.run.results import (
    EXPLORE,
    EXTRACT,
    FINALISTS,
    PREPARE,
    REPORT,
    STAGES,
    Stage,
    StageResult,
    Stamp,
    WinnerResult,
)
from nas.studies.run.rows import WINNER
from nas.studies.run.typed_json import parsed, plain, said
from nas.system.files import EVERYBODY, drop_partial, first_link, open_lock, replace_file, replacing_folder

T = TypeVar("T")
R = TypeVar("R", bound=StageResult)

CHECKSUM = "sha256"
"""Key of each JSON file: the checksum of all the others in it. Files of earlier versions have none."""
TAU = "tau"
"""Where `nas tau` keeps what it finds: a file per answer, and a folder per recipe with a file per retrained
architecture.
"""
ARCHITECTURES = "architectures"
"""Where architectures of other runs are retrained, each in a folder of its own."""
TRIALS = "trials.sqlite"
"""The table of trials, unless the study names another one."""
INDEX = "images.npz"
"""What the stage `prepare` found where the images are, see `nas.data.index`."""
LATENCY_TABLE = "latency.json"
"""The table of latencies that the stage `prepare` kept."""
OTHER_TABLES = "tables.json"
"""The others, by their quantities."""
CACHE = "cache"
"""Resized images, see `RunFolder.cache`."""
_TABLE = (f"{TRIALS}{end}" for end in ("", "-wal", "-shm", "-journal"))
OURS = ("study.yaml", "run.json", "prior.json", "lock", CACHE, *_TABLE)
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

    @property
    def index(self) -> Path:
        """The listing of the images that the run was prepared with, where they are a set of pictures."""
        return self.path / PREPARE.name / INDEX

    @property
    def latency_table(self) -> Path:
        """The table of latencies that the run was prepared with, where the study names one."""
        return self.path / PREPARE.name / LATENCY_TABLE

    @property
    def other_tables(self) -> Path:
        """The other tables that the run was prepared with: of several devices, of energy."""
        return self.path / PREPARE.name / OTHER_TABLES

    @property
    def cache(self) -> Path:
        """Where resized images stay that are held on the disk; it may be deleted at any time."""
        return self.path / CACHE

    def check_links(self) -> None:
        """Raises `RunError` for a link among what runs keep: what is read is this folder's, and nothing is written
        elsewhere. The folder itself may be one, and so may what others have put there.
        """
        ours = {*OURS, TAU, ARCHITECTURES, *(stage.name for stage in STAGES)}
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
        if not self.done(stage):
            return None
        return read_json(self._result_file(stage), stage.result, remedy=self.again(stage))

    def done(self, stage: Stage[StageResult]) -> bool:
        """Whether a stage has left a result, whatever may have become of it since."""
        return self._result_file(stage).exists()

    def untouched(self, stage: Stage[StageResult]) -> bool:
        """Whether a stage has left nothing yet, no checkpoint either."""
        path = self.path / stage.name
        with _disk(path, "read"):
            return not path.is_dir() or not any(path.iterdir())

    def verify(self, stage: Stage[StageResult]) -> None:
        """Raises `RunError` when a file that a finished stage has left is not as it was then."""
        if self.result(stage) is None:
            return
        seal = self.stamp(stage).seal
        for name, checksum in seal.files.items() if seal else ():
            path = self.path / stage.name / name
            with _disk(path, "read"):
                changed = seals.of_file(path) != checksum
            if changed:
                raise RunError(
                    f"{path}: not the file that the stage '{stage}' left (checksum); put that one back, or "
                    f"{self.again(stage)}"
                )

    def need(self, stage: Stage[R]) -> R:
        """The result of a stage, or a `RunError` that says how to get it."""
        result = self.result(stage)
        if result is None:
            raise RunError(
                f"{self.path}: the stage '{stage}' is not finished; run the study again to continue it: nas run "
                f"{self.path}"
            )
        return result

    def roles(self) -> dict[str, WinnerResult]:
        """Role -> the trial that has it, the winner first. Raises `RunError` while it is not decided."""
        explored = self.need(EXPLORE)
        decided = self.need(FINALISTS) if explored.finalists else self.result(FINALISTS)
        return explored.roles | ({WINNER: decided.winner} if decided else {})

    @property
    def decided(self) -> bool:
        """Whether the winner is known."""
        explored = self.result(EXPLORE)
        return explored is not None and (not explored.finalists or self.done(FINALISTS))

    def spared(self, stage: Stage[StageResult]) -> bool:
        """Whether a stage without a result is none that is missing: earlier versions had no finalists."""
        explored = self.result(EXPLORE) if stage is FINALISTS and self.done(EXTRACT) else None
        return explored is not None and not explored.finalists

    def stamp(self, stage: Stage[StageResult]) -> Stamp:
        """How long a finished stage took, and which commit ran it. Raises `RunError` when it is not finished."""
        self.need(stage)
        return read_json(self._result_file(stage), Stamp, remedy=self.again(stage))

    def finish(self, stage: Stage[R], result: R, stamp: Stamp) -> None:
        """Marks a stage as done. Write everything else of the stage before."""
        self.stage(stage.name)
        _write_plain(self._result_file(stage), {**plain(result), **plain(stamp)})

    def reopen(self, stage: Stage[StageResult]) -> None:
        """Drops the results of this stage and of those after it, but not what else they have left."""
        for other in reversed(STAGES[STAGES.index(stage) :]):
            path = self._result_file(other)
            with _disk(path, "delete"):
                path.unlink(missing_ok=True)

    def after(self, stage: Stage[StageResult]) -> list[str]:
        """Names of the folders, of those that are there, of what was made from what this stage leaves, in order.

        Answers of `nas tau` are about the supernet and the search: stages from `finalists` on leave them alone.
        """
        later = STAGES[STAGES.index(stage) + 1 :]
        names = [other.name for other in later]
        if FINALISTS in later:
            names.insert(names.index(FINALISTS.name), TAU)
        return [name for name in names if (self.path / name).exists()]

    def found_after(self, stage: Stage[StageResult]) -> list[str]:
        """Of those folders, the ones with results."""
        unfinished = [other.name for other in STAGES if not self.done(other)]
        return [name for name in self.after(stage) if name not in unfinished]

    def forget_after(self, stage: Stage[StageResult]) -> None:
        """Drops all that is `after` this stage, which is about to be made anew."""
        # The last ones go first: a process that is killed in between leaves no stage without what it was made from.
        for name in reversed(self.after(stage)):
            self._delete(name)

    def forget_from(self, stage: Stage[StageResult]) -> None:
        """Drops a stage, and all that is `after` it."""
        self.forget_after(stage)
        self._delete(stage.name)

    def drop_partial(self) -> None:
        """Drops what killed drivers were writing; called by the one that holds the lock. Reports are written without
        it: what is half of one is left alone.
        """
        for name in (TAU, ARCHITECTURES, *(stage.name for stage in STAGES if stage is not REPORT)):
            path = self.path / name
            with _disk(path, "delete"):
                if path.is_dir():
                    drop_partial(path)

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

    def again(self, stage: Stage[StageResult]) -> str:
        """How to make a stage anew, for messages."""
        return f"make it and what follows anew: nas run {shlex.quote(str(self.path))} --from {stage}"

    def _result_file(self, stage: Stage[StageResult]) -> Path:
        return self.path / stage.name / "result.json"

    def _delete(self, name: str) -> None:
        path = self.path / name
        with _disk(path, "delete"):
            if path.exists():
                shutil.rmtree(path)


def write_bytes(path: Path, content: bytes, mode: int = EVERYBODY) -> None:
    """Writes a file whole or not at all, and waits until it is on the disk."""
    with _disk(path, "write"):
        replace_file(path, content, mode)


def write_json(path: Path, value: object) -> None:
    """Writes a dataclass, or a mapping, as JSON with a checksum, whole or not at all."""
    _write_plain(path, plain(value))


def read_json(path: Path, kind: type[T], *, remedy: str) -> T:
    """What `write_json` wrote, as a `kind`; `remedy` ends the message of the `RunError` for a file that is damaged, or
    not as it was written.
    """
    with _disk(path, "read"):
        content = path.read_bytes()
    try:
        data = parsed(dict[str, JsonValue], content)
        checksum = data.pop(CHECKSUM, None)
        if checksum is None:
            return parsed(kind, content)
        if checksum != seals.of_data(data):
            raise RunError(f"{path}: damaged, or changed since it was written (checksum); {remedy}")
        return parsed(kind, json.dumps(data))  # a plain mapping would take the checksum for one of its values
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
    try:
        text = json.dumps({**data, CHECKSUM: seals.of_data(data)}, indent=1, allow_nan=False)
    except ValueError as fault:
        raise RunError(
            f"{path}: not written, since a measured number is infinite or none at all: what the model puts out "
            "overflows; take other weights (base.checkpoint), or lower learning rates, and run again"
        ) from fault
    write_bytes(path, (text + "\n").encode())
