"""A training run on disk: one safetensors file with module, optimiser and moving average; epochs and settings as JSON
in its header.

One file, because two cannot be replaced in one step. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nas.documents.defaults import completed
from nas.errors import CheckpointError
from nas.system.files import replacing
from nas.training.history import History
from nas.training.optimiser_state import OptimiserState
from nas.training.precision import Precision

FORMAT = "nas.training 1"


@final
@dataclass(frozen=True)
class TrainingIdentity:
    """Which run a checkpoint belongs to: facts about it, and the options, a dataclass, that it was called with."""

    facts: Mapping[str, Any]
    options: Any

    def as_json(self) -> dict[str, Any]:
        """What a checkpoint says."""
        return {**self.facts, **asdict(self.options)}

    def changes(self, stored: Mapping[str, Any]) -> list[str]:
        """What differs from what a checkpoint says. What it does not say is as by default: earlier versions had fewer
        options.
        """
        before, now = (completed(type(self.options), of_run) for of_run in (stored, self.as_json()))
        return [f"{key} {before.get(key)!r}, now {now[key]!r}" for key in now if before.get(key) != now[key]]


@final
@dataclass(frozen=True, eq=False)
class Progress:
    """All that a training run changes. `identity` says which run it is; a checkpoint of another one is refused."""

    module: nn.Module
    optimiser: OptimiserState | None
    average: nn.Module | None
    identity: TrainingIdentity
    precision: Precision | None = None


def save(path: Path, progress: Progress, history: History) -> None:
    """Replaces the checkpoint at `path`. `CheckpointError` when it cannot be written; the one before then stays."""
    identity, rows = json.dumps(progress.identity.as_json()), json.dumps(history.rows())
    header = {"format": FORMAT, "identity": identity, "history": rows}
    _replace(path, lambda beside: save_file(state(progress), beside, metadata=header), len(history))


def keep(path: Path, content: bytes, epochs: int) -> None:
    """Replaces the checkpoint at `path` by one that another machine saved after `epochs` epochs; see `save`."""
    _replace(path, lambda beside: beside.write_bytes(content), epochs)


def epochs_done(path: Path) -> int:
    """How many epochs the checkpoint at `path` is worth. `CheckpointError` when it is damaged."""
    if not path.exists():
        return 0
    with _readable(path), safe_open(path, "pt") as file:
        return len(json.loads(_header(path, file.metadata())["history"]))


def _replace(path: Path, write: Callable[[Path], object], epochs: int) -> None:
    try:
        with replacing(path) as partial:
            write(partial)
    except (OSError, SafetensorError) as fault:
        raise CheckpointError(
            f"{path}: cannot write the checkpoint of epoch {epochs} ({fault}); "
            "make room and run again: it goes on from the last one written"
        ) from None


def resume(path: Path, progress: Progress) -> History:
    """Puts the state at `path` into `progress` and returns the epochs done; no file, no epochs."""
    if not path.exists():
        return History()
    with _readable(path):
        with safe_open(path, "pt") as file:
            header = _header(path, file.metadata())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no Mapping)
        identity, history = json.loads(header["identity"]), History.from_rows(json.loads(header["history"]))
        _check_identity(path, identity, progress.identity)
        restore(tensors, progress)
    return history


def state(progress: Progress) -> dict[str, Tensor]:
    """All tensors under one name each: module.NAME, average.NAME, optimiser.INDEX.KEY ...; on the CPU, and cloned, as
    safetensors refuses shared memory.
    """
    tensors = {f"module.{name}": value for name, value in progress.module.state_dict().items()}
    if progress.average is not None:
        tensors |= {f"average.{name}": value for name, value in progress.average.state_dict().items()}
    if progress.optimiser is not None:
        tensors |= progress.optimiser.tensors()
    if progress.precision is not None:
        tensors |= progress.precision.tensors()
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}


def restore(tensors: Mapping[str, Tensor], progress: Progress) -> None:
    """Puts what `state` gave into `progress`."""
    progress.module.load_state_dict(_below("module", tensors))
    if progress.average is not None:
        progress.average.load_state_dict(_below("average", tensors))
    if progress.optimiser is not None:
        progress.optimiser.load(tensors)
    if progress.precision is not None:
        progress.precision.load(tensors)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever a damaged file makes others raise, as ours."""
    try:
        yield
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as fault:
        reason = " ".join(str(fault).split())[:200]
        raise CheckpointError(
            f"{path}: damaged, or of another model ({reason}); delete it to train from the start"
        ) from None


def _header(path: Path, metadata: Mapping[str, str] | None) -> Mapping[str, str]:
    header = metadata or {}
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: not a training checkpoint of this version (found {header.get('format')!r}); "
            "delete it to train from the start"
        )
    return header


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = prefix + "."
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def _check_identity(path: Path, stored: Mapping[str, Any], identity: TrainingIdentity) -> None:
    if changes := identity.changes(stored):
        raise CheckpointError(
            f"{path}: from a run with other settings ({'; '.join(changes)}); "
            "delete it to train from the start, or restore the settings"
        )
