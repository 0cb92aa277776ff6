"""Whether finalists that several processes train come out as those of one: on Ray, and under torchrun.

    python -m benchmarks.finalists_together

A row per way: whether all rounds kept the same finalists, and the greatest difference of a loss in the first round.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.tables import RESULTS, Rows
from nas.studies.run.record import Record
from nas.system.environment import commit

STUDY = Path(__file__).parents[1] / "studies" / "digits.yaml"
SHORT = {
    "strategy": "{use: uniform, trials: 20}",
    "data.train_images": 300,
    "base.epochs": 4,
    "supernet.epochs": 4,
    "retrain.epochs": 4,
    "finalists": 3,
    "latency.seconds": 0.1,
}
ALONE, RAY, TORCHRUN = "one process", "two workers on Ray", "two processes of torchrun"
LAUNCHER = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
ROWS = Rows(RESULTS / "finalists_together.csv", ("way", "commit"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        alone = rounds(Path(folder) / "alone", ALONE)
        for way in (TORCHRUN, RAY):
            started = time.perf_counter()
            there = rounds(Path(folder) / way.replace(" ", "-"), way)
            row = {"way": way, "commit": commit(), **compared(alone, there)}
            ROWS.append(row)
            print(row, f"{time.perf_counter() - started:.0f} s", flush=True)


def rounds(folder: Path, way: str) -> Any:
    """The table of finalists of a run."""
    changes = {**SHORT, **({"retrain.workers": 2, "ray.cpus": 1} if way == RAY else {})}
    settings = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    launcher = LAUNCHER if way == TORCHRUN else []
    command = [sys.executable, *launcher, "-m", "nas.cli", "run", str(STUDY), "--folder", str(folder), *settings]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return Record.open(folder).finalists().set_index(["round", "digest"]).sort_index()


def compared(alone: Any, there: Any) -> dict[str, Any]:
    """What of two such tables is alike."""
    same = alone.index.equals(there.index) and bool((alone["kept"] == there["kept"]).all())
    first = alone.loc[1].index.intersection(there.loc[1].index)
    gap = (alone.loc[1].loc[first, "loss"] - there.loc[1].loc[first, "loss"]).abs().max()
    return {"finalists": len(first), "rounds": int(there.index.get_level_values(0).max()), "same": same,
            "first_round_gap": float(f"{gap:.2g}")}  # fmt: skip


if __name__ == "__main__":
    main()
