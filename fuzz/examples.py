"""Valid inputs that all others are made from: files of a user, and what tiny runs leave behind."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
from PIL import Image
from ruamel.yaml import YAML

from fuzz import mutate
from fuzz.variants import METHODS, STUDY, UNTRAINED
from nas.documents.fields import hints, is_options, readings
from nas.documents.markers import Plugged
from nas.studies.file.config import StudyConfig

ROOT = Path(__file__).parents[1]
RUNS = ("run", "run", "relaxed", "ranks", "stopped")
"""Runs that others are made from: by evolution; by a supernet of the strategy's own; of factored matrices, with two
objectives; stopped while its supernet trained."""


@dataclass(frozen=True)
class Examples:
    """The folder of examples: runs, a model, `digits.npz`, `pictures`, `weights.safetensors`; and the documents."""

    folder: Path
    spaces: tuple[Any, ...]
    studies: tuple[Any, ...]
    resolved: dict[str, Any]
    """The study of the run, with every key that has a default."""
    known: Mapping[str, list[Any]]
    """Key -> values that it may have, somewhere."""

    @property
    def model(self) -> Path:
        """The folder of a saved model, made when it is first asked for."""
        path = self.folder / "model"
        if not path.exists():
            _in_child(lambda: _silent("extract", self.folder / "run", "--to", path))
        return path

    def run(self, name: str) -> Path:
        """The folder of a run of `RUNS`, made when it is first asked for."""
        path = self.folder / name
        if name == "run" and not (path / "tau").exists():
            _in_child(lambda: _silent("tau", path, "--architectures", "3", "--epochs", "1"))
        if not path.exists():
            partial = self.folder / "partial"
            _in_child(lambda: _run(partial, _STUDIES[name]), stopped=partial if name == "stopped" else None)
            partial.rename(path)
        return path


_STUDIES: dict[str, dict[str, Any]] = {
    "run": STUDY,
    "relaxed": {**STUDY, "strategy": METHODS[2][0]},
    "ranks": {
        **STUDY,
        "space": {**STUDY["space"], "choices": METHODS[6][1]},
        "objectives": {"accuracy": "max", "macs": "min"},
    },
    "stopped": {**STUDY, "supernet": {"epochs": 10_000}},
    "own": {**UNTRAINED, "data": {"path": "digits.npz", "validation": 0.3}},
}


def make(folder: Path) -> Examples:
    """Makes what is not there yet, in a child: a process that has computed is not to be forked."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "run").exists():
        _in_child(lambda: _write(folder))
    resolved = _document(folder / "run" / "study.yaml")
    spaces, studies, presets = (_documents(name) for name in ("searchspaces", "studies", "strategies"))
    known = dict(_allowed(StudyConfig))
    for document in (*spaces, *studies, *presets, resolved):
        for container, key in mutate.places(document):
            if isinstance(key, str):
                known.setdefault(key, []).append(container[key])
    return Examples(folder, spaces, (STUDY, *studies), resolved, known)


def _allowed(kind: type) -> Iterator[tuple[str, list[Any]]]:
    """Every key of options, with the names and words that it allows."""
    for key, hint in hints(kind).items():
        for inner, markers in readings(hint):
            if get_origin(inner) is Literal:
                yield key, list(get_args(inner))
            elif inner is bool:
                yield key, [True, False]
            elif is_options(inner):
                yield from _allowed(inner)
            for marker in markers:
                if isinstance(marker, Plugged):
                    yield key, [name for name in marker.names() if name != "with_raytune"]


def _in_child(make: Callable[[], int], *, stopped: Path | None = None) -> None:
    """Calls in a process of its own; a run in the folder `stopped` is ended when its supernet has begun to train."""
    process = os.fork()
    if process == 0:
        try:
            os._exit(make())
        finally:
            os._exit(1)
    if stopped is not None:
        while not (stopped / "supernet" / "training.safetensors").exists():
            time.sleep(0.01)
        os.kill(process, signal.SIGTERM)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code == (143 if stopped else 0), "the example is no study any more"


def _documents(name: str) -> tuple[Any, ...]:
    return tuple(_document(path) for path in sorted((ROOT / name).glob("*.yaml")))


def _document(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def _run(folder: Path, study: dict[str, Any]) -> int:
    from nas import cli

    path = folder.with_suffix(".yaml")
    path.write_text(mutate.yaml(study), encoding="utf-8")
    return cli.main(["run", str(path), "--folder", str(folder), "--quiet"])


def _silent(*words: str | Path) -> int:
    from nas import cli

    with redirect_stdout(io.StringIO()):
        return cli.main([str(word) for word in words])


def _write(folder: Path) -> int:
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 3
    images = {split: rng.integers(0, 256, (24, 8, 8), dtype=np.uint8) for split in ("train", "test")}
    np.savez(
        folder / "digits.npz",
        **{f"{split}_images": array for split, array in images.items()},  # type: ignore[arg-type]
        **{f"{split}_labels": labels for split in images},
    )
    for split, array in images.items():
        for number, label in enumerate(labels[:12]):
            path = folder / "pictures" / split / "abc"[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array[number]).save(path)
    run = folder / "run"
    code = _run(run, _STUDIES["run"])
    (folder / "weights.safetensors").write_bytes((run / "base" / "weights.safetensors").read_bytes())
    return code
