"""What wrong numerics had cost: a preset on the digits, at the commit before a mending and at the one after it.

    python -m benchmarks.mended vtp_svd [--tree CHECKOUT] [--seeds 5] [--limit 80% --limit 50%]

Runs `nas run` with the code of another checkout, one run per limit and seed. All runs of a seed start from the weights
that the first of them trains: a small ViT with a class token, with the choices that the preset's file names. Rows go to
`studies/results/mended.csv`, with the commit they came from; rows that are there are not computed again, and a run that
was killed continues. The summary over seeds is written after each row.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.presets import MODEL, RESULTS, ROOT, SPACES, read

RUNS = Path("runs") / "mended"
BASE = {"epochs": 20, "lr": 3e-3}
RETRAIN = {"epochs": 10, "lr": 2e-3, "warmup": 1, "loss": "adjoined", "small_ce": True}
KEY = ["commit", "preset", "limit", "seed"]
START = "import sys; from nas.cli import main; sys.argv[0] = 'nas'; sys.exit(main())"


def row(tree: Path, preset: str, limit: str, seed: int) -> dict[str, Any]:
    """Base, winner and retrained winner on the test images, from a run with the code of `tree`."""
    commit = _commit(tree)
    folder = (RUNS / f"{commit}-{preset}-{limit.strip('%')}-{seed}").absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    weights = RUNS.absolute() / f"base-{seed}.safetensors"
    study = folder.with_suffix(".yaml")
    if not study.exists():  # a run that was begun goes on with the settings it has
        base = {"checkpoint": str(weights), "epochs": 0} if weights.exists() else BASE
        study.write_text(json.dumps({**_study(preset, limit, seed, base), "folder": str(folder)}), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", START, "run", str(study)], cwd=tree, env=environment, check=True)
    if not weights.exists():
        shutil.copyfile(folder / "base" / "weights.safetensors", weights)
    models = pd.read_csv(folder / "report" / "results.csv").set_index("model")
    accuracy = models["test_accuracy"]
    return {
        **dict(zip(KEY, (commit, preset, limit, seed), strict=True)),
        "base": accuracy["base"],
        "before_retraining": accuracy["winner"],
        "retrained": accuracy["winner, retrained"],
        "macs": models["macs"]["winner"],
        "macs_share": models["macs"]["winner"] / models["macs"]["base"],
    }


def _study(preset: str, limit: str, seed: int, base: Mapping[str, Any]) -> Mapping[str, Any]:
    model = read(ROOT / "searchspaces" / f"{MODEL}.yaml")
    choices = read(ROOT / "searchspaces" / f"{SPACES[preset]}.yaml")["choices"]
    return {
        "name": preset,
        "space": {**model, "choices": choices},
        "strategy": read(ROOT / "strategies" / f"{preset}.yaml"),
        "data": {"name": "digits"},
        "limit": {"macs": limit},
        "baseline": 1,
        "importance": "given",
        "base": base,
        "supernet": {"epochs": 0},
        "retrain": RETRAIN,
        "latency": {"batches": [1], "seconds": 0.01},
        "seed": seed,
        "threads": 1,
    }


def _commit(tree: Path) -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(tree), *words], check=True, capture_output=True, text=True).stdout

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "nas", "strategies")
    return git("rev-parse", "--short=12", "HEAD").strip() + ("+changes" if changed else "")


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds."""
    groups = table.groupby(["preset", "limit", "commit"], sort=False)
    columns = groups[["base", "before_retraining", "retrained", "macs_share"]].agg(["mean", "std"])
    columns.columns = ["_".join(column) for column in columns.columns]
    return columns.assign(seeds=groups["seed"].nunique()).round(4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("preset", choices=sorted(SPACES))
    parser.add_argument("--tree", type=Path, default=ROOT, help="checkout whose code runs (default: this one)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", action="append", help="of the base model's MACs (default: 80%% and 50%%)")
    arguments = parser.parse_args()
    tree, file = arguments.tree.absolute(), RESULTS / "mended.csv"
    for seed in range(arguments.seeds):
        for limit in arguments.limit or ("80%", "50%"):
            table = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=KEY)
            key = (_commit(tree), arguments.preset, limit, seed)
            if key not in set(table[KEY].itertuples(index=False, name=None)):
                found = pd.DataFrame([row(tree, arguments.preset, limit, seed)])
                table = pd.concat([table, found]) if len(table) else found
                table.to_csv(file, index=False)
                summary(table).to_csv(RESULTS / "mended_summary.csv")
    print(summary(pd.read_csv(file)).to_string())


if __name__ == "__main__":
    main()
