"""Folders of others: runs, finished or not, their tables of trials, and models."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

from ruamel.yaml import YAML

from fuzz import mutate
from fuzz.documents import READING, write
from fuzz.examples import RUNS, Examples
from fuzz.sandbox import Command

TAU = ("tau", "run", "--architectures", "3", "--epochs", "1")
TRAINING = (
    *(("run", "run"), ("run", "run", "--quiet"), ("retrain", "run"), ("retrain", "run", "--trial", "1")),
    *(("run", "run", "--from", stage, "--quiet") for stage in ("explore", "extract", "report")),
    *(TAU, (*TAU, "--csv", "t.csv", "--plot", "p.svg"), (*TAU, "--from-scratch"), (*TAU, "--loss", "distilled")),
    *(("tau", "run", "--architectures", "2"), ("tau", "run", "--epochs", "0")),
)
"""Commands on the folder `run` that may train."""


def _commands(rng: Random) -> list[Command]:
    count = rng.choice((1, 2))
    if rng.random() < 0.2:
        return [Command(words=words, trains=True) for words in rng.sample(TRAINING, count)]
    return [Command(words=words) for words in rng.sample(READING, count + 1)]


def run_folder(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """A file of a run is changed, deleted, swapped, or becomes a link, seldom none; of most, without its checksums."""
    run = folder / "run"
    shutil.copytree(examples.run(rng.choice(RUNS)), run)
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        _damage(rng, run, examples)
    if rng.random() < 0.7:
        unsealed(run)
    return _commands(rng)


def unsealed(run: Path) -> None:
    """A run as of an earlier version, which had no checksums: what was changed is read, and not refused at once."""
    for path in sorted(run.rglob("*.json")):
        weights = path.with_name("model.safetensors")
        if path.is_symlink() or weights.is_symlink():  # it may be endless
            continue
        with suppress(OSError, ValueError, RecursionError):
            content = json.loads(path.read_bytes())
            if not isinstance(content, dict):
                continue
            for key in ("sha256", "settings" if path.name == "run.json" else "seal"):
                content.pop(key, None)
            if path.name == "model.json":
                content["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
            path.write_text(json.dumps(content), encoding="utf-8")


def _damage(rng: Random, folder: Path, examples: Examples) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    files = [path for path in files if path.suffix in (".json", ".yaml") or rng.random() < 0.3]
    if not files:
        return
    path = rng.choice(files)
    kind = rng.randrange(12)
    if kind < 6 and path.suffix == ".json":
        with suppress(ValueError):
            changed = mutate.document(rng, json.loads(path.read_bytes()), examples.known)
            path.write_text(json.dumps(changed), encoding="utf-8")
    elif kind < 6 and path.name == "study.yaml":
        write(rng, path, mutate.document(rng, YAML(typ="safe", pure=True).load(path.read_bytes()), examples.known))
    elif kind < 8:
        path.write_bytes(mutate.content(rng, path.read_bytes()))
    elif kind == 8:
        path.write_bytes(rng.choice(files).read_bytes())
    else:
        path.unlink()
        if kind == 9:
            path.mkdir()
        elif kind == 10:
            path.symlink_to(rng.choice((f"{'../' * 4}outside/file.txt", "/etc/passwd", path.name, "/dev/zero")))


def trials(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """The table of trials of a run, edited."""
    run = folder / "run"
    shutil.copytree(examples.run(rng.choice(RUNS)), run)
    with closing(sqlite3.connect(run / "trials.sqlite")) as database, suppress(sqlite3.Error):
        database.execute("PRAGMA foreign_keys = OFF")
        for _ in range(rng.choice((1, 1, 2, 3))):
            _edit(rng, database)
        database.commit()
    if rng.random() < 0.7:
        unsealed(run)
    return _commands(rng)


def _edit(rng: Random, database: sqlite3.Connection) -> None:
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    table = rng.choice(tables)
    column = rng.choice([row[1] for row in database.execute(f'PRAGMA table_info("{table}")')])
    which = rng.choice(("", "", " WHERE rowid = 1", " WHERE rowid % 2", " WHERE rowid > 2"))
    kind = rng.randrange(8)
    if kind == 0:
        database.execute(f'DELETE FROM "{table}"{which}')
    elif kind == 1:
        database.execute(rng.choice((f'DROP TABLE "{table}"', f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO x')))
    elif kind < 6:
        rows = database.execute(f'SELECT rowid, "{column}" FROM "{table}"').fetchall()
        for row, old in rows[: rng.choice((1, 100))]:
            database.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (_cell(rng, old), row))
    else:
        database.execute(f'UPDATE "{table}" SET "{column}" = ?{which}', (_cell(rng, None),))


def _cell(rng: Random, old: Any) -> Any:
    """A cell; of one that holds JSON, a changed document."""
    with suppress(TypeError, ValueError):
        if rng.random() < 0.7:
            return json.dumps(mutate.document(rng, json.loads(old)))
    changed = mutate.like(rng, old) if rng.random() < 0.5 else mutate.value(rng)
    if isinstance(changed, int) and not -(2**63) <= changed < 2**63:
        return str(changed)
    return changed if isinstance(changed, (int, float, str)) or changed is None else json.dumps(changed)


def model_folder(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """Models that `nas extract` has written, with a file changed; of most, the checksum is right again."""
    shutil.copytree(examples.model, folder / "model")
    _damage(rng, folder / "model", examples)
    if rng.random() < 0.7:
        unsealed(folder)
    return [Command(words=words) for words in (("load", "model"), ("evaluate", "model", "--data", "digits"))]
