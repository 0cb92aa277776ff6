"""Run the benchmarks of this folder (or those that are named) and write `benchmarks/results.csv`, with the commit that
was measured. Rows of benchmarks that are not run stay.

    python -m benchmarks [reuse ray_workers ...]
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

import pandas as pd
import torch

from nas.system.environment import commit

BENCHMARKS = (
    *("cost_model", "feasible", "training_step", "half_macs", "dan_step", "equal_macs", "reuse", "ask_time"),
    *("ray_workers", "ray_cluster", "data_parallel", "loader", "many_pictures", "row_groups", "latency", "memory"),
    *("bits_latency", "detector_step", "detector_evaluation", "explorer", "derived_step"),
)
FILE = Path(__file__).with_name("results.csv")


def main() -> None:
    torch.set_num_threads(1)
    rows: dict[str, list[dict[str, object]]] = {}
    for name in sys.argv[1:] or list(BENCHMARKS):
        for row in import_module(f"benchmarks.{name}").measure():
            rows.setdefault(name, []).append(row)
            print({"benchmark": name, **row}, flush=True)
    keep(rows)


def keep(rows: Mapping[str, Sequence[Mapping[str, object]]]) -> None:
    """Writes the rows of some benchmarks in the place of those that they had."""
    beside = {"threads": 1, "cores": os.cpu_count(), "commit": commit()}
    table = pd.DataFrame([{"benchmark": name, **row, **beside} for name, some in rows.items() for row in some])
    if FILE.exists():
        before = pd.read_csv(FILE)
        table = pd.concat([before[~before["benchmark"].isin(list(rows))], table])
    table.to_csv(FILE, index=False)


if __name__ == "__main__":
    main()
