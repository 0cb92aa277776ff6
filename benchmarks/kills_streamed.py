"""A study whose pictures stream, trained by two processes and killed (SIGKILL) in the midst of an epoch of each of its
trainings, against the same study undisturbed: whether it sees the same pictures, and ends with the same losses, weights
and winner.

    python -m benchmarks.kills_streamed

Class folders of PNGs are made, and the study of `STUDY` runs on them under torchrun, on two processes. The first one
kills itself and torchrun after a batch in the middle of an epoch, once in each training; `nas run RUN` goes on. Adds a
row to `studies/results/kills.csv`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from benchmarks.kills import keep, plain
from benchmarks.kills_of_stages import results, weights
from benchmarks.tables import RESULTS
from nas import cli
from nas.data.streamed import StreamedSplit
from nas.studies.run.record import Record
from nas.studies.run.results import BASE, EXPLORE, RETRAIN, SUPERNET
from nas.system.environment import commit
from nas.tasks import Batch
from nas.training.bar import Bar
from nas.training.ranks import Ranks

STUDY = """
space:
  model: vit_tiny_patch16_224
  model_args: {img_size: 16, patch_size: 8, embed_dim: 16, depth: 2, num_heads: 2, class_token: false, global_pool: avg}
  choices: {heads: {size: [1, 2], per: block}, mlp: {size: {from: 16, to: 64, step: 16}, per: block}}
strategy: {use: evolution, population: 4, sample: 2, trials: 12}
limit: {macs: 70%}
baseline: 4
latency: {batches: [1], seconds: 0.01}
threads: 1
"""
TRAININGS = {"base": "base", "supernet": "supernet", "retrain": "retrain winner"}
"""Key of the study -> what its training is called."""
CLASSES, EACH, BATCH, EPOCHS = 4, 60, 24, 3
TITLE = "a whole run of streamed pictures, on 2 processes"
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "benchmarks.kills_streamed"]


class Moment(NamedTuple):
    """A batch of a training, after which all is killed; both are counted from 0."""

    training: str
    epoch: int
    batch: int


MOMENTS = (Moment("base", 1, 3), Moment("supernet", 2, 4), Moment("retrain winner", 0, 2))
"""An epoch has nine batches."""
AS_RANK = "--as-rank"
"""With a log, a moment and a command of `nas`: what torchrun starts."""


def main() -> None:
    if sys.argv[1:2] == [AS_RANK]:
        log, moment, *command = sys.argv[2:]
        watched(Path(log), None if moment == "-" else Moment(*_parsed(moment)))
        raise SystemExit(cli.main(command))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, default=Path("runs") / "kills" / "streamed")
    parser.add_argument("--out", type=Path, default=RESULTS / "kills.csv")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.folder, ignore_errors=True)
    pictures(arguments.folder / "pictures")
    row = compare(arguments.folder)
    print(row, flush=True)
    keep([row], arguments.out)


def pictures(root: Path) -> None:
    """Class folders of PNGs: noise in a colour of the class."""
    rng = np.random.default_rng(0)
    for split, each in (("train", EACH), ("test", EACH // 4)):
        for name in range(CLASSES):
            (root / split / str(name)).mkdir(parents=True)
            for k in range(each):
                colour = 128 + 25 * np.eye(CLASSES)[name, :3] + rng.normal(0, 12, 3)
                pixels = (colour + rng.normal(0, 40, (20, 18, 3))).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / str(name) / f"{k}.png")


def compare(folder: Path) -> dict[str, object]:
    """The study undisturbed and killed, and what must not differ."""
    start = time.perf_counter()
    run(folder, "calm", [])
    between = time.perf_counter()
    run(folder, "killed", MOMENTS)
    end = time.perf_counter()
    calm, killed = Record.open(folder / "calm"), Record.open(folder / "killed")
    winners = [record.result(EXPLORE).winner for record in (calm, killed)]
    expected, found = plain(calm), plain(killed)
    return {
        "search": TITLE,
        "kills": len(MOMENTS),
        "of_drivers": len(MOMENTS),
        "of_workers": 0,
        "trials": len(found),
        "unlike_undisturbed": len(set(found.items()) ^ set(expected.items())),
        "same_winner": winners[0] == winners[1],
        "winner": winners[1].digest,
        "seconds": round(end - between, 1),
        "seconds_undisturbed": round(between - start, 1),
        "same_weights": weights(calm) == weights(killed),
        "same_results": results(calm) == results(killed),
        "same_losses": losses(calm) == losses(killed),
        "same_pictures": seen(folder / "calm.log") == seen(folder / "killed.log"),
        "per_stage": ", ".join(f"{key} 1" for key in TRAININGS),
        "cores": os.cpu_count(),
        "commit": commit(),
    }


def losses(record: Record) -> list[list[float]]:
    """Of every training, by epoch."""
    retrained = record.result(RETRAIN).trainings["winner"]
    histories = [record.result(BASE).history, record.result(SUPERNET).history, retrained.history]
    return [[row.loss for row in history] for history in histories]


def seen(log: Path) -> dict[str, set[str]]:
    """Rank, epoch and batch -> checksums of its pictures: one, however often it was trained on. Trainings of the same
    recipe see the same pictures.
    """
    batches: dict[str, set[str]] = {}
    for line in log.read_text().splitlines():
        batch, _, checksum = line.rpartition(" ")
        batches.setdefault(batch, set()).add(checksum)
    assert all(len(checksums) == 1 for checksums in batches.values()), "a batch was other pictures when it came again"
    return batches


def run(folder: Path, name: str, moments: Sequence[Moment]) -> None:
    """Runs the study to its end, killed at each of the moments."""
    (folder / "study.yaml").write_text(STUDY)
    for number, moment in enumerate([*moments, None]):
        target = [str(folder / name)] if number else [str(folder / "study.yaml"), *settings(folder, name)]
        at = "-" if moment is None else ":".join(map(str, moment))
        command = [AS_RANK, str(folder / f"{name}.log"), at, "run", *target, "--quiet"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        ended = subprocess.run([sys.executable, *TORCHRUN, *command], env=environment, check=False)
        wanted = 0 if moment is None else -signal.SIGKILL
        if ended.returncode != wanted:
            raise SystemExit(f"{name}, {moment or 'to the end'}: ended with code {ended.returncode}, not {wanted}")


def settings(folder: Path, name: str) -> list[str]:
    """What a new run is told beside its study."""
    data = f"{{path: {folder.resolve() / 'pictures'}, cache: none, workers: 1}}"
    recipe = {"epochs": EPOCHS, "batch": BATCH, "warmup": 1, "augment": "light"}
    stages = [f"{stage}.{key}={value}" for stage in TRAININGS for key, value in recipe.items()]
    return ["--folder", str(folder / name), *(word for one in [f"data={data}", *stages] for word in ("--set", one))]


def watched(log: Path, moment: Moment | None) -> None:
    """From now on every batch that is trained on is written down, and at the moment this process is killed, and the one
    that started it.
    """
    began, batches = Bar.__init__, StreamedSplit.batches
    now, epochs = "", list[int]()

    def begin(self: Bar, title: str, *others: Any) -> None:
        nonlocal now
        now = title
        epochs.clear()
        began(self, title, *others)

    def logged(self: StreamedSplit, size: int, *, seed: int | None = None, **options: Any) -> Iterator[Batch]:
        if seed is None:  # somebody measures
            yield from batches(self, size, **options)
            return
        rank = Ranks.joined().rank
        epochs.append(seed)
        for number, batch in enumerate(batches(self, size, seed=seed, **options)):
            checksum = hashlib.sha256(batch.inputs.numpy().tobytes()).hexdigest()
            with log.open("a") as file:
                file.write(f"{rank} {seed} {number} {checksum}\n")
            yield batch
            if rank == 0 and moment == (now, len(epochs) - 1, number):
                os.kill(os.getppid(), signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)

    Bar.__init__ = begin  # type: ignore[method-assign]
    StreamedSplit.batches = logged  # type: ignore[method-assign]


def _parsed(moment: str) -> tuple[str, int, int]:
    training, epoch, batch = moment.split(":")
    return training, int(epoch), int(batch)


if __name__ == "__main__":
    main()
