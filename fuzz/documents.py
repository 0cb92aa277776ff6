"""Spaces and studies of a user, settings on the command line, and names: what is written by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from fuzz import mutate
from fuzz.examples import ROOT, Examples
from fuzz.sandbox import Command
from fuzz.variants import STUDY, UNTRAINED, valid


def _trained(*words: str) -> Command:
    """The user's own study, who may name hosts, and long trainings."""
    return Command(words=words, trains=True, reaches=True)


def write(rng: Random, path: Path, document: Any) -> None:
    """A document as YAML; one in ten with changed bytes."""
    text = mutate.yaml(document).encode(errors="surrogatepass")
    path.write_bytes(mutate.content(rng, text) if rng.random() < 0.1 else text)


def space(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """Search spaces, shown."""
    original = rng.choice((*examples.spaces, *(valid(rng)["space"] for _ in examples.spaces)))
    write(rng, folder / "space.yaml", mutate.document(rng, original, examples.known))
    return [Command(words=("show", "space.yaml"))]


def study(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """Studies, shown; every fourth is run."""
    (folder / "searchspaces").symlink_to(ROOT / "searchspaces")
    (folder / "strategies").symlink_to(ROOT / "strategies")
    shutil.copy(examples.folder / "digits.npz", folder / "fashion_mnist.npz")  # which those of the project name
    original = rng.choice((valid(rng), examples.resolved, rng.choice(examples.studies)))
    write(rng, folder / "study.yaml", mutate.document(rng, original, examples.known))
    shown = Command(words=("show", "study.yaml"))
    return [shown, _trained("run", "study.yaml", "--folder", "run")] if rng.random() < 0.25 else [shown]


def variant(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """Valid studies, or nearly: run, and what they leave is read, although they may have been stopped."""
    made = valid(rng)
    if rng.random() < 0.3:
        made = mutate.document(rng, made, examples.known)
    (folder / "study.yaml").write_text(mutate.yaml(made), encoding="utf-8")
    shutil.copy(examples.folder / "digits.npz", folder)
    shutil.copytree(examples.folder / "pictures", folder / "pictures")
    reading = [Command(words=words) for words in READING]
    return [_trained("run", "study.yaml", "--folder", "run", "--quiet"), *rng.sample(reading, 2)]


READING = (
    *(("report", "run"), ("show", "run"), ("pareto", "run"), ("pareto", "run", "--trials", "--csv", "t.csv")),
    *(("pareto", "run", "--parquet", "front.parquet"), ("compare", "run", "run", "--csv", "c.csv", "--plot", "p.svg")),
    *(("extract", "run", "--to", "model"), ("extract", "run", "--to", "model", "--trial", "0")),
    *(("export", "run", "--optuna", "sqlite:///optuna.db"), ("load", "run/retrain/winner")),
    *(("show", "run", "--set", "latency.batches=[2]"), ("load", "run/extract/uniform")),
    *(("evaluate", "run", "--predictions", "p.csv", "--json", "m.json"), ("evaluate", "run", "--split", "val")),
)
"""Commands on the folder `run` that train nothing."""


def setting(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """`--set` with keys and values of all kinds."""
    (folder / "study.yaml").write_text(mutate.yaml(UNTRAINED), encoding="utf-8")
    spots = list(_settings((), examples.resolved))
    words: list[str] = []
    for _ in range(rng.choice((1, 1, 1, 2))):
        keys, old = rng.choice(spots)
        known = examples.known.get(keys[-1], [old])
        changed = rng.choice((rng.choice(known), mutate.like(rng, old), mutate.like(rng, old), mutate.value(rng)))
        text = changed if isinstance(changed, str) else json.dumps(changed)
        words += ["--set", text if rng.random() < 0.02 else f"{'.'.join(keys)}={text}"]
    clean = [word.replace("\0", "") for word in words]  # no shell can pass it
    if rng.random() < 0.3:
        return [_trained("run", "study.yaml", "--folder", "run", *clean)]
    return [Command(words=("show", "study.yaml", *clean))]


def _settings(path: tuple[str, ...], document: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key of a study, with its value."""
    for key, inner in document.items():
        yield (*path, key), inner
        if isinstance(inner, dict):
            yield from _settings((*path, key), inner)


def name(rng: Random, folder: Path, examples: Examples) -> Sequence[Command]:
    """Strange names of studies, strategies, classes and folders, from the run to its report."""
    changed = {**UNTRAINED, "strategy": dict(STUDY["strategy"])}
    strange = rng.choice(mutate.NAMES)
    place = rng.randrange(4)
    run = "run"
    if place == 0:
        changed["name"] = strange
    elif place == 1:
        changed["strategy"]["name"] = strange
    elif place == 2:
        shutil.copytree(examples.folder / "pictures", folder / "data")
        safe = strange.replace("\0", "").replace("/", "_")[:60]
        for split in ("train", "test"):
            with suppress(OSError):
                (folder / "data" / split / "a").rename(folder / "data" / split / safe)
        changed["data"] = {"path": "data", "validation": 0.4}
    else:
        safe = strange.replace("\0", "").replace("/", "_")
        run = f"runs/{safe}" if len(safe.encode()) < 250 and safe not in ("", ".", "..") else "runs/x"
    (folder / "study.yaml").write_text(mutate.yaml(changed), encoding="utf-8")
    reading = (("report", run), ("show", run), ("pareto", run), ("compare", run, run))
    made = _trained("run", "study.yaml", "--folder", run)
    return [made, *(Command(words=words) for words in rng.sample(reading, 2))]
