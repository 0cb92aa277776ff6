"""Run the committed studies over several seeds and write their tables to `studies/results/`.

    python -m benchmarks.studies                                  # the digits
    python -m benchmarks.studies --fashion fashion_mnist.npz      # Fashion-MNIST as well

Runs lie in `runs/STUDY-SEED`; what is done there is not done again. Each table has one row per model and seed; its
summary has the mean and the spread (standard deviation over seeds), the number of seeds and the commit.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.tables import RESULTS, over_seeds
from nas import Study

ROOT = Path(__file__).parents[1]
SPREAD = ("validation_accuracy", "test_accuracy", "macs", "params", "speedup_batch_64", "hypervolume")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--fashion", type=Path, help="Fashion-MNIST as .npz in the MedMNIST layout")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    run("digits", [], arguments.seeds)
    if arguments.fashion:
        run("fashion_mnist", [f"data.path={arguments.fashion}"], arguments.seeds)


def run(name: str, overrides: list[str], seeds: int) -> None:
    tables = [_one(name, [*overrides, f"seed={seed}"], Path("runs") / f"{name}-{seed}") for seed in range(seeds)]
    table = pd.concat(tables, ignore_index=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    table.to_csv(RESULTS / f"{name}.csv", index=False)
    summary = over_seeds(table, ["model"], SPREAD)
    summary.to_csv(RESULTS / f"{name}_summary.csv")
    print(summary.round(4).to_string())


def _one(name: str, overrides: list[str], folder: Path) -> pd.DataFrame:
    """The results table of one run, with ratios of latency (which hold on a shared machine) and hypervolumes."""
    study = Study.from_yaml(ROOT / "studies" / f"{name}.yaml", overrides=overrides, folder=folder)
    record = study.run(quiet=False)
    table = pd.read_csv(folder / "report" / "results.csv")
    latency = table["latency_ms_batch_64"]
    trials = record.trials()
    volumes = {name: record.hypervolume(rows) for name, rows in trials.groupby("strategy")}
    return table.drop(columns=[c for c in table if c.startswith("latency_ms")]).assign(
        speedup_batch_64=(latency.iloc[0] / latency).round(3), hypervolume=table["strategy"].map(volumes)
    )


if __name__ == "__main__":
    main()
