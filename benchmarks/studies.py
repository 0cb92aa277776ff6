"""Run the committed studies over several seeds and write their tables to `studies/results/`.

    python -m benchmarks.studies                                            # the digits
    python -m benchmarks.studies fashion_mnist --data fashion_mnist.npz
    python -m benchmarks.studies cifar10 --data cifar10.npz                 # the same study on pictures in colour

Runs lie in `runs/STUDY-SEED`; what is done there is not done again. Each table has one row per model and seed; its
summary has the mean and the spread (standard deviation over seeds), the number of seeds and the commit. Last it says
how the winner differs from uniform's, both retrained: paired by seed, with an interval of 95 % (Student's t).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.tables import RESULTS, over_seeds, paired
from nas import Study

ROOT = Path(__file__).parents[1]
SPREAD = ("validation_accuracy", "test_accuracy", "macs", "params", "speedup_batch_64", "hypervolume")
STUDIES: Mapping[str, tuple[str, Sequence[str]]] = {
    "digits": ("digits", ()),
    "fashion_mnist": ("fashion_mnist", ()),
    "cifar10": ("fashion_mnist", ("data.image_size=14", "data.train_images=6000")),
}
"""Of each name: the file, and what is set there."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("study", nargs="?", default="digits", choices=list(STUDIES))
    parser.add_argument("--data", type=Path, help="of a study that names a file: .npz in the MedMNIST layout")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    run(arguments.study, [f"data.path={arguments.data}"] if arguments.data else [], arguments.seeds)


def run(name: str, overrides: Sequence[str], seeds: int) -> None:
    tables = [_one(name, [*overrides, f"seed={seed}"], Path("runs") / f"{name}-{seed}") for seed in range(seeds)]
    table = pd.concat(tables, ignore_index=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    table.to_csv(RESULTS / f"{name}.csv", index=False)
    summary = over_seeds(table, ["model"], SPREAD)
    summary.to_csv(RESULTS / f"{name}_summary.csv")
    print(summary.round(4).to_string())
    print(against_uniform(table))


def against_uniform(table: pd.DataFrame) -> str:
    """The winner's test accuracy less uniform's, both retrained: in points, seed by seed and on average."""
    points = 100 * table.pivot_table(index="seed", columns="model", values="test_accuracy")
    winner, uniform = points["winner, retrained"], points["uniform, retrained"]
    each = ", ".join(f"{value:+.2f}" for value in winner - uniform)
    found = paired(winner, uniform)
    return f"winner less uniform: {found['difference']:+.2f} +- {found['half_interval']:.2f} points ({each})"


def _one(name: str, overrides: Sequence[str], folder: Path) -> pd.DataFrame:
    """The results table of one run, with ratios of latency (which hold on a shared machine) and hypervolumes."""
    file, changes = STUDIES[name]
    study = Study.from_yaml(ROOT / "studies" / f"{file}.yaml", overrides=[*changes, *overrides], folder=folder)
    record = study.run(quiet=False)
    table = pd.read_csv(folder / "report" / "results.csv").assign(study=name)
    latency = table["latency_ms_batch_64"]
    trials = record.trials()
    volumes = {strategy: record.hypervolume(rows) for strategy, rows in trials.groupby("strategy")}
    return table.drop(columns=list(table.filter(like="latency_ms"))).assign(
        speedup_batch_64=(latency.iloc[0] / latency).round(3), hypervolume=table["strategy"].map(volumes)
    )


if __name__ == "__main__":
    main()
