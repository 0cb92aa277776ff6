"""Blood cells over seeds: SiDT and evolution at 60 % of the body's MACs, uniform search beside both.

    python -m benchmarks.cells bccd [--seeds 3] [--runs DIR] [--device cuda]

`studies/bccd.yaml` on BCCD in COCO's layout. For each seed, SiDT runs on a base that it trains; evolution on the same
base, with a supernet that is trained as long as SiDT's gates are, and 100 trials. Each search has a uniform one of 100
architectures beside it, with the weights that it started from; all winners are retrained alike. A row is kept when
it is known; runs lie in DIR, and what is done there is not done again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.tables import RESULTS, Rows, over_seeds
from nas import Study
from nas.studies.run.results import BASE, RETRAIN

ROOT = Path(__file__).parents[1]
SEARCHES = ("sidt", "evolution")
SUPERNET = (
    "supernet={epochs: 10, rule: uniform, lr: 1e-3, warmup: 1, batch: 8,"
    " augment: {use: annotated, hflip: 0.5, vflip: 0.5, brightness: 0.2, contrast: 0.2}}"
)
EVOLUTION = ("strategy={use: strategies/evolution.yaml, trials: 100}", "task.measured=both", "finalists=1", SUPERNET)
"""The loss is measured too, so that `nas tau` and `benchmarks.detector_scores` can compare it, as a score."""
NUMBERS = ("validation_map", "map", "ap50", "ap75", "body_macs", "macs", "body_params", "params")
ROWS = Rows(RESULTS / "bccd.csv", ("search", "model", "seed"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="BCCD in COCO's layout")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs") / "cells")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    always = [f"data.path={arguments.data.resolve()}", f"device={arguments.device}"]
    for seed in range(arguments.seeds):
        for search in SEARCHES:
            if not ROWS.has(search=search, model="winner, retrained", seed=seed):
                keep(search, seed, run(search, seed, arguments.runs, always))
    over_seeds(ROWS.frame, ["search", "model"], NUMBERS).to_csv(RESULTS / "bccd_summary.csv")


def run(search: str, seed: int, runs: Path, always: Sequence[str]) -> tuple[Study, float]:
    """The study of one search, run to its end, and the processor seconds of this process that it took."""
    overrides = [f"seed={seed}", *always]
    if search == "evolution":
        base = runs / f"sidt-{seed}" / BASE.name / "weights.safetensors"
        overrides += [*EVOLUTION, f"base={{epochs: 0, checkpoint: {base.resolve()}}}"]
    began = time.process_time()
    study = Study.from_yaml(ROOT / "studies" / "bccd.yaml", overrides=overrides, folder=runs / f"{search}-{seed}")
    study.run(quiet=False)
    return study, time.process_time() - began


def keep(search: str, seed: int, done: tuple[Study, float]) -> None:
    """Adds the rows of a run. Of one that was interrupted, the processor seconds are those since then."""
    study, seconds = done
    for result in study.record.result(RETRAIN).rows:
        row = pd.Series(result.flat()).rename(lambda name: name.removeprefix("test_"))
        numbers = {name: round(row[name], 5) for name in NUMBERS}
        keys = {"search": search, "model": result.model, "seed": seed}
        if not ROWS.has(**keys):
            ROWS.append({**keys, **numbers, "processor_seconds": round(seconds), "commit": result.commit[:12]})


if __name__ == "__main__":
    main()
