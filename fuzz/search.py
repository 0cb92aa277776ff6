"""Inputs one after another, and what was found in them."""

from __future__ import annotations

import gc
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from random import Random
from tempfile import TemporaryDirectory

import torch

import nas
from fuzz.cases import KINDS
from fuzz.examples import Examples, make
from fuzz.sandbox import Command, Outcome, run

LIBRARIES = (
    *("torchvision.transforms.v2", "timm", "pandas", "pyarrow.parquet", "sqlalchemy.dialects.sqlite", "scipy"),
    *("matplotlib.figure", "matplotlib.backends.backend_svg", "jinja2", "moocore", "sklearn.datasets", "optuna"),
    *("sklearn.model_selection", "safetensors.torch", "ruamel.yaml", "rich.progress"),
)
"""What commands import when they run, once for all of them."""
SLOW = ("nas.testing", "nas.strategies.with_", "nas.strategies._")
"""Modules of ours that few commands load."""


@dataclass
class Found:
    """How many inputs were tried; commands per kind of input, command and exit code; findings per cause."""

    inputs: int = 0
    commands: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)


def search(kept: Path, seed: int, numbers: Iterable[int], *, seconds: float, kinds: Sequence[str] | None) -> Found:
    """Tries inputs by their numbers, for some seconds; the first one of each cause is kept in the folder `kept`."""
    warm()
    names = [kind for kind in KINDS if not kinds or kind in kinds]
    found = Found()
    with TemporaryDirectory(prefix="nas-fuzz-") as place:
        examples = make(Path(place) / "examples")
        end = time.monotonic() + seconds
        for number in numbers:
            if time.monotonic() > end:
                break
            found.inputs += 1
            kind = Random(f"{seed}/{number}/kind").choices(names, [KINDS[name][1] for name in names])[0]
            case = Path(place) / "case"
            (case / "outside").mkdir(parents=True)
            (case / "outside" / "file.txt").write_text("somebody's\n", encoding="utf-8")
            for command in _written(kind, f"{seed}/{number}", case / "input", examples):
                outcome = run(command, case, Path(place) / "cache")
                found.commands[kind, command.words[0], outcome.code] += 1
                if outcome.broken:
                    found.causes[outcome.signature] += 1
                    if found.causes[outcome.signature] == 1:
                        _keep(kept / str(number), command, outcome)
                        _written(kind, f"{seed}/{number}", kept / str(number) / "input", examples)
            shutil.rmtree(case)
    return found


def warm() -> None:
    """Imports everything once. Nothing may compute before the forks: one thread, and none of others."""
    sys.dont_write_bytecode = True
    ours = [module.name for module in walk_packages(nas.__path__, "nas.") if not module.name.startswith(SLOW)]
    for module in (*LIBRARIES, *ours):
        import_module(module)
    torch.set_num_threads(1)
    gc.freeze()  # a collection in a child would copy all the pages that it shares with us


def _written(kind: str, seed: str, folder: Path, examples: Examples) -> Sequence[Command]:
    """Writes an input; the same one for the same seed."""
    folder.mkdir(parents=True)
    return KINDS[kind][0](Random(seed), folder, examples)


def _keep(folder: Path, command: Command, outcome: Outcome) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    line = f"nas {shlex.join(command.words)}"
    text = f"{line}\n{'; '.join(outcome.broken)}\nexit code {outcome.code}\n\n{outcome.output}"
    (folder / "output.txt").write_text(text, encoding="utf-8", errors="replace")
    print(f"{folder.name} {line}\n    {outcome.signature}\n    {folder}", flush=True)
