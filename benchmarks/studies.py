"""Run the committed studies over several seeds and write their tables to `studies/results/`.

    python -m benchmarks.studies                                            # the digits
    python -m benchmarks.studies fashion_mnist --data fashion_mnist.npz
    python -m benchmarks.studies cifar10 --data cifar10.npz                 # the same study on pictures in colour
    python -m benchmarks.studies models                                     # the digits, by models of many kinds

Runs lie in `runs/FILE-SEED`; what is done there is not done again. Each table has one row per model and seed; its
summary has the mean and the spread (standard deviation over seeds), the number of seeds and the commit. Last it says
how the winner differs from uniform's, both retrained: paired by seed, with an interval of 95 % (Student's t).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.tables import RESULTS, over_seeds, paired
from nas import Study

ROOT = Path(__file__).parents[1]
SPREAD = ("validation_accuracy", "test_accuracy", "macs", "params", "speedup_batch_64", "hypervolume")
FILES = ROOT / "studies"
STUDIES: Mapping[str, Mapping[str, tuple[Path, Sequence[str]]]] = {
    "digits": {"digits": (FILES / "digits.yaml", ())},
    "fashion_mnist": {"fashion_mnist": (FILES / "fashion_mnist.yaml", ())},
    "cifar10": {"cifar10": (FILES / "fashion_mnist.yaml", ("data.image_size=14", "data.train_images=6000"))},
    "models": {path.stem: (path, ()) for path in sorted((FILES / "models").glob("*.yaml"))},
}
"""Of each table: its studies, each with its file and what is set there."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("study", nargs="?", default="digits", choices=list(STUDIES))
    parser.add_argument("--data", type=Path, help="of a study that names a file: .npz in the MedMNIST layout")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    run(arguments.study, [f"data.path={arguments.data}"] if arguments.data else [], arguments.seeds)


def run(name: str, overrides: Sequence[str], seeds: int) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    tables: list[pd.DataFrame] = []
    for seed in range(seeds):
        for study in STUDIES[name]:
            tables.append(_one(name, study, [*overrides, f"seed={seed}"], Path("runs") / f"{study}-{seed}"))
            table = pd.concat(tables, ignore_index=True)
            table.to_csv(RESULTS / f"{name}.csv", index=False)
    summary = over_seeds(table, ["study", "model"] if len(STUDIES[name]) > 1 else ["model"], SPREAD)
    summary.to_csv(RESULTS / f"{name}_summary.csv")
    print(summary.round(4).to_string())
    for study, rows in table.groupby("study"):
        print(f"{study}: {against_uniform(rows)}")


def against_uniform(table: pd.DataFrame) -> str:
    """The winner's test accuracy less uniform's, both retrained: in points, seed by seed and on average."""
    points = 100 * table.pivot_table(index="seed", columns="model", values="test_accuracy")
    winner, uniform = points["winner, retrained"], points["uniform, retrained"]
    each = ", ".join(f"{value:+.2f}" for value in winner - uniform)
    found = paired(winner, uniform)
    return f"winner less uniform: {found['difference']:+.2f} +- {found['half_interval']:.2f} points ({each})"


def _one(table_name: str, name: str, overrides: Sequence[str], folder: Path) -> pd.DataFrame:
    """The results table of one run, with ratios of latency (which hold on a shared machine), hypervolumes, and how far
    the extracted winner's outputs are off from the supernet's.
    """
    file, changes = STUDIES[table_name][name]
    study = Study.from_yaml(file, overrides=[*changes, *overrides], folder=folder)
    record = study.run(quiet=False)
    table = pd.read_csv(folder / "report" / "results.csv").assign(study=name)
    latency = table["latency_ms_batch_64"]
    trials = record.trials()
    volumes = {strategy: record.hypervolume(rows) for strategy, rows in trials.groupby("strategy")}
    extracted = json.loads((folder / "extract" / "result.json").read_text())["winner"]
    return table.drop(columns=list(table.filter(like="latency_ms"))).assign(
        speedup_batch_64=(latency.iloc[0] / latency).round(3),
        hypervolume=table["strategy"].map(volumes),
        difference=extracted["difference"],
    )


if __name__ == "__main__":
    main()
