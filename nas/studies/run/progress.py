"""How far a run is: each stage done, under way or to come, with an estimate of the rest. Neither torch nor a lock is
needed: whoever watches only reads, and what is half written is read the next time.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from nas import words
from nas.documents.text import Plain
from nas.errors import NasError
from nas.studies.run.record import Record
from nas.studies.run.results import BASE, EXPLORE, FINALISTS, PREPARE, RETRAIN, STAGES, SUPERNET
from nas.system.files import first_link

HEADER = 2**24
"""Most bytes of a checkpoint's header that are read."""
LATEST = 5
"""Epochs and trials by which the pace of what follows is judged."""


@final
@dataclass(frozen=True)
class StageProgress:
    """Of one stage: what it has done, seconds that it took or has left (None: nobody knows)."""

    stage: str
    state: Literal["done", "under way", "to come"]
    done: str = ""
    seconds: float | None = None
    rest: float | None = None


def progress_of(record: Record) -> list[StageProgress]:
    """Of all stages. A stage is under way where its driver is alive."""
    driver = record.driver() if record.folder.done(PREPARE) else None
    seconds = record.seconds
    live = ""
    if driver is not None and not driver.stale:  # it says its stage with its first sign of life
        live = driver.stage or next(stage.name for stage in STAGES if stage.name not in seconds)
    return [
        StageProgress(name, "done", seconds=seconds[name])
        if name in seconds
        else _under_way(record, name)
        if name == live
        else StageProgress(name, "to come", _left_over(record, name))
        for name in (stage.name for stage in STAGES)
    ]


def _left_over(record: Record, stage: str) -> str:
    """What an interrupted stage has done so far."""
    return _under_way(record, stage).done


def _under_way(record: Record, stage: str) -> StageProgress:
    if stage in (BASE.name, SUPERNET.name):
        return _training(stage, record.folder.path / stage / "training.safetensors", _epochs(record, stage))
    if stage == EXPLORE.name:
        return _search(record)
    if stage in (FINALISTS.name, RETRAIN.name):
        return _trainings(stage, record.folder.path / stage, _epochs(record, RETRAIN.name))
    return StageProgress(stage, "under way")


def _training(stage: str, checkpoint: Path, epochs: int) -> StageProgress:
    rows = _rows(checkpoint)
    if not rows:
        return StageProgress(stage, "under way")
    latest = [float(row["seconds"]) for row in rows[-LATEST:]]
    metrics = " ".join(f"{name} {value:.3f}" for name, value in rows[-1]["metrics"].items())
    done = f"epoch {len(rows)} of {epochs}, loss {rows[-1]['loss']:.3f} {metrics}".rstrip()
    return StageProgress(stage, "under way", done, rest=(epochs - len(rows)) * sum(latest) / len(latest))


def _search(record: Record) -> StageProgress:
    try:
        trials = record.stored()
    except NasError:  # the table of trials is not there yet
        return StageProgress(EXPLORE.name, "under way")
    if not trials:
        return StageProgress(EXPLORE.name, "under way")
    wanted, latest = _trials_wanted(record), [trial.seconds for trial in trials if not trial.cached][-LATEST:]
    objective = record.objectives[0]
    values = [trial.value(objective.metric) for trial in trials if trial.state == "done"]
    best = f", best {objective.metric} {(max if objective.maximise else min)(values):.4f}" if values else ""
    rest = (wanted - len(trials)) * sum(latest) / len(latest) if latest else None
    return StageProgress(EXPLORE.name, "under way", f"trial {len(trials)} of {wanted}{best}", rest=rest)


def _trainings(stage: str, folder: Path, epochs: int) -> StageProgress:
    """Several trainings, one after the other; of those that are to come nobody knows how many."""
    finished = len(list(folder.glob("**/*.json"))) if folder.is_dir() else 0
    current = next(iter(sorted(folder.glob("**/*-training.safetensors"))), None) if folder.is_dir() else None
    one = StageProgress(stage, "under way") if current is None else _training(stage, current, epochs)
    parts = [*([f"{finished} trained"] if finished else []), *([one.done] if one.done else [])]
    done = words.listed(parts) if parts else ""
    return StageProgress(stage, "under way", done, rest=None if stage == FINALISTS.name else one.rest)


def _trials_wanted(record: Record) -> int:
    """Of the strategy and of the baseline beside it."""
    strategy = record.settings["strategy"]
    own = strategy.get("trials") if isinstance(strategy, Mapping) else None
    own = own if isinstance(own, int) else 1
    beside = record.settings.get("baseline")
    if isinstance(strategy, Mapping) and strategy.get("use") == "uniform":
        return own
    return own + (beside if isinstance(beside, int) else own)


def _epochs(record: Record, stage: str) -> int:
    recipe: Plain = record.settings.get(stage)
    epochs = recipe.get("epochs") if isinstance(recipe, dict) else 0
    return epochs if isinstance(epochs, int) else 0


def _rows(checkpoint: Path) -> list[dict[str, Any]]:
    """The epochs that a checkpoint tells of in its header (safetensors: eight bytes of length, then JSON); none where
    there is no checkpoint, or no such header.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        if first_link(checkpoint) is None:
            with checkpoint.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(length)) if length <= HEADER else {}
            return list(_checked(json.loads(header["__metadata__"]["history"])))
    return []


def _checked(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows as `nas.training.History` has them. Raises `TypeError`, `KeyError` or `ValueError` for others."""
    for row in rows:
        metrics = {str(name): float(value) for name, value in row["metrics"].items()}
        yield {"loss": float(row["loss"]), "seconds": float(row["seconds"]), "metrics": metrics}
