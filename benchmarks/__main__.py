"""Run the benchmarks of this folder (or those that are named) and write `benchmarks/results.csv`, with the commit that
was measured. Rows of benchmarks that are not run stay.

    python -m benchmarks [reuse ray_workers ...]
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

import pandas as pd
import torch

from nas.system.environment import commit

BENCHMARKS = (
    *("cost_model", "feasible", "training_step", "half_macs", "dan_step", "equal_macs", "reuse", "ask_time"),
    *("ray_workers", "ray_cluster", "data_parallel", "loader", "many_pictures", "row_groups"),
)
FILE = Path(__file__).with_name("results.csv")


def main() -> None:
    torch.set_num_threads(1)
    names = sys.argv[1:] or list(BENCHMARKS)
    rows = []
    for name in names:
        for row in import_module(f"benchmarks.{name}").measure():
            rows.append({"benchmark": name, **row, "threads": 1, "cores": os.cpu_count(), "commit": commit()})
            print({key: value for key, value in rows[-1].items() if key not in ("commit", "cores")}, flush=True)
    table = pd.DataFrame(rows)
    if FILE.exists():
        before = pd.read_csv(FILE)
        table = pd.concat([before[~before["benchmark"].isin(names)], table])
    table.to_csv(FILE, index=False)


if __name__ == "__main__":
    main()
