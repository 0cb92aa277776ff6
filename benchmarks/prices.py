"""What DAN's penalty should count: what the study limits, or nothing; beside evolution and uniform search.

    python -m benchmarks.prices fashion_mnist.npz [--seeds 3]

The small ViT of `benchmarks.latency_search` on Fashion-MNIST, under a limit of milliseconds (that benchmark's table),
and with bits, 8 or 32 for each block, under one of bit operations (less than the whole model takes in 8 bits, so that
widths matter, too). For each seed one base, from which all start; all winners are retrained alike. "uniform" has as
many trials on the same supernet as "evolution". DAN trains from the base.
A row is kept when it is done, and not made again; runs lie in `runs/prices`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.latency_search import SPACE, TABLE, base_of, done, supernet_here, table_here
from benchmarks.presets import RECIPE, ROOT, read
from benchmarks.tables import RESULTS, Rows, over_seeds, paired
from nas.studies.run.results import EXPLORE, RETRAIN
from nas.studies.run.rows import BASE_MODEL, UNIFORM, WINNER

RUNS = Path("runs") / "prices"
TRIALS = 150
ROWS = Rows(RESULTS / "prices.csv", ("limit", "seed", "method"))
NUMBERS = ("score", "test_accuracy", "share", "macs_share")
SUPERNET = {**RECIPE, "epochs": 12}


@dataclass(frozen=True)
class Subject:
    """A cost, how much of the whole model's is allowed, and what is chosen beside depth, heads and hidden units."""

    limited: str
    most: str
    choices: Mapping[str, Any]
    table: bool = False


SUBJECTS = (
    Subject("latency", "75%", {}, table=True),
    Subject("bit_operations", "8%", {"bits": {"bits": [8, 32], "per": "block"}}),
)
METHODS: Mapping[str, Mapping[str, Any]] = {
    "evolution": {"strategy": {**read(ROOT / "strategies" / "evolution.yaml"), "trials": TRIALS},
                  "baseline": TRIALS, "importance": "magnitude", "supernet": SUPERNET},
    "dan": {"strategy": read(ROOT / "strategies" / "dan.yaml")},
    "dan without a price": {"strategy": {**read(ROOT / "strategies" / "dan.yaml"), "gamma": 0.0, "target": None}},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="Fashion-MNIST as .npz in the MedMNIST layout")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table_here(supernet_here())
    for seed in range(arguments.seeds):
        base = base_of(arguments.data, seed, RUNS)
        for subject in SUBJECTS:
            for method in METHODS:
                if not ROWS.has(limit=subject.limited, seed=seed, method=method):
                    for row in _rows(arguments.data, seed, base, subject, method):
                        print(row, flush=True)
                        ROWS.append(row)
    summarise()


def _rows(data: Path, seed: int, base: Mapping[str, Any], subject: Subject, method: str) -> Iterator[Mapping[str, Any]]:
    changes = {
        "supernet": {"epochs": 0},
        **METHODS[method],
        **({"latency": {"table": str(TABLE.resolve())}} if subject.table else {}),
        "base": base,
        "space": {**SPACE, "choices": {**SPACE["choices"], **subject.choices}},
        "limit": {subject.limited: subject.most},
    }
    study = done(data, seed, RUNS / f"{subject.limited}-{method.replace(' ', '_')}-{seed}", changes)
    explored, measured = study.record.result(EXPLORE), {r.model: r.flat() for r in study.record.result(RETRAIN).rows}
    whole = measured[BASE_MODEL]
    for role, name in ((WINNER, method), (UNIFORM, UNIFORM)):
        if role == UNIFORM and method != "evolution":
            continue
        # Where both found the same architecture, it is retrained once.
        found = explored.roles.get(role, explored.winner)
        retrained = measured.get(f"{role}, retrained", measured[f"{WINNER}, retrained"])
        yield {
            "limit": subject.limited,
            "seed": seed,
            "method": name,
            "score": round(found.metrics["accuracy"], 5),
            "test_accuracy": round(retrained["test_accuracy"], 5),
            "share": round(retrained[subject.limited] / whole[subject.limited], 4),
            "macs_share": round(retrained["macs"] / whole["macs"], 4),
            "commit": retrained["commit"][:12],
        }


def summarise() -> None:
    """Mean and spread over seeds, and how methods differ from uniform search of the same seed, in points."""
    table = ROWS.frame
    summary = over_seeds(table, ["limit", "method"], NUMBERS)
    summary.to_csv(RESULTS / "prices_summary.csv")
    print(summary.to_string())
    for limit, some in table.groupby("limit", sort=False):
        points = 100 * some.pivot_table(index="seed", columns="method", values="test_accuracy")
        for method in METHODS:
            print(f"{limit}: {method} less uniform {paired(points[method], points[UNIFORM])}")


if __name__ == "__main__":
    main()
