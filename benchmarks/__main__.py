"""Run every benchmark of this folder and write `benchmarks/results.csv`, with the commit that was measured."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

import pandas as pd
import torch

from nas.studies.environment import commit

BENCHMARKS = (
    *("cost_model", "feasible", "training_step", "half_macs", "dan_step", "equal_macs", "reuse"),
    *("ray_workers", "ray_cluster", "data_parallel"),
)


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for name in BENCHMARKS:
        for row in import_module(f"benchmarks.{name}").measure():
            rows.append({"benchmark": name, **row, "threads": 1, "cores": os.cpu_count(), "commit": commit()})
            print({key: value for key, value in rows[-1].items() if key not in ("commit", "cores")}, flush=True)
    pd.DataFrame(rows).to_csv(Path(__file__).with_name("results.csv"), index=False)


if __name__ == "__main__":
    main()
