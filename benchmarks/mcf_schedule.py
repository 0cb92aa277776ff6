"""MCF's schedule on the digits: cutting all blocks at once, or one per epoch, with votes taken anew or not.

    python -m benchmarks.mcf_schedule [--seeds 5] [--limit 50%] [--schedule gradual]

All runs of a seed start from the weights that the first of them trains: a small ViT with a class token; MCF sizes its
feed-forward networks. They retrain for the same epochs. Rows go to `studies/results/mcf-schedule.csv`, with the commit
of the code that ran; rows that are there are not computed again, and a run that was killed continues. The summary over
seeds is written after each row. With the code of another checkout:
`PYTHONPATH=CHECKOUT python benchmarks/mcf_schedule.py`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from nas import Study
from nas.system.environment import commit

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "studies" / "results"
RUNS = ROOT / "runs" / "mcf-schedule"
BASE = {"epochs": 20, "lr": 3e-3}
RECIPE = {"epochs": 12, "lr": 1e-3, "warmup": 1}
SCHEDULES: Mapping[str, Mapping[str, Any]] = {
    "direct": {"loss": "plain"},
    "gradual": {"loss": "plain", "gradual": True},
    "gradual, votes anew": {"loss": "plain", "gradual": True, "importance": "ffn_votes"},
    "direct, adjoined": {"loss": "adjoined"},
    "gradual, adjoined": {"loss": "adjoined", "gradual": True},
}
KEY = ["commit", "schedule", "limit", "seed"]


def row(schedule: str, limit: str, seed: int) -> dict[str, Any]:
    """Base, winner and retrained winner on the test images."""
    name = f"{commit()}-{schedule.replace(', ', '-').replace(' ', '-')}-{limit.strip('%')}-{seed}"
    weights = RUNS / f"base-{seed}.safetensors"
    RUNS.mkdir(parents=True, exist_ok=True)
    study = RUNS / f"{name}.yaml"
    if not study.exists():  # a run that was begun goes on with the settings it has
        base = {"checkpoint": str(weights), "epochs": 0} if weights.exists() else BASE
        study.write_text(json.dumps(_study(schedule, limit, seed, base)), encoding="utf-8")
    folder = RUNS / name
    Study.from_yaml(study, folder=folder).run(quiet=True)
    if not weights.exists():
        shutil.copyfile(folder / "base" / "weights.safetensors", weights)
    models = pd.read_csv(folder / "report" / "results.csv").set_index("model")
    accuracy = models["test_accuracy"]
    return {
        **dict(zip(KEY, (commit(), schedule, limit, seed), strict=True)),
        "base": accuracy["base"],
        "before_retraining": accuracy["winner"],
        "retrained": accuracy["winner, retrained"],
        "macs_share": models["macs"]["winner"] / models["macs"]["base"],
    }


def _study(schedule: str, limit: str, seed: int, base: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "name": "mcf",
        "space": {
            **_read("searchspaces/vit_digits_tokens"),
            "choices": _read("searchspaces/deit_small_ffn")["choices"],
        },
        "strategy": _read("strategies/mcf"),
        "data": {"name": "digits"},
        "limit": {"macs": limit},
        "baseline": 1,
        "base": base,
        "supernet": {"epochs": 0},
        "retrain": {**RECIPE, **SCHEDULES[schedule]},
        "latency": {"batches": [1], "seconds": 0.01},
        "seed": seed,
        "threads": 1,
    }


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load(ROOT / f"{name}.yaml")
    return content


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds."""
    groups = table.groupby(["limit", "schedule", "commit"], sort=False)
    columns = groups[["base", "before_retraining", "retrained", "macs_share"]].agg(["mean", "std"])
    columns.columns = ["_".join(column) for column in columns.columns]
    return columns.assign(seeds=groups["seed"].nunique()).round(4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", action="append", help="of the base model's MACs (default: 50%%)")
    parser.add_argument("--schedule", action="append", choices=SCHEDULES, help="some only (default: all)")
    arguments = parser.parse_args()
    file = RESULTS / "mcf-schedule.csv"
    for seed in range(arguments.seeds):
        for limit in arguments.limit or ("50%",):
            for schedule in arguments.schedule or SCHEDULES:
                table = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=KEY)
                if (commit(), schedule, limit, seed) not in set(table[KEY].itertuples(index=False, name=None)):
                    found = pd.DataFrame([row(schedule, limit, seed)])
                    table = pd.concat([table, found]) if len(table) else found
                    table.to_csv(file, index=False)
                    summary(table).to_csv(RESULTS / "mcf-schedule_summary.csv")
    print(summary(pd.read_csv(file)).to_string())


if __name__ == "__main__":
    main()
