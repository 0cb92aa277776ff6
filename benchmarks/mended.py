"""What wrong numerics had cost: presets on the digits, with the code before a mending and with the code after it.

    python -m benchmarks.mended vtp_svd --limit 80% 50% [--tree CHECKOUT] [--seeds 5]
    python -m benchmarks.mended patch_slimming --limit 70% 50%
    python -m benchmarks.mended mcf --loss plain adjoined --schedule direct gradual "gradual, votes anew"

Runs `nas run` with the code, the preset and the search space of a checkout (this one, or `--tree`): one run per limit,
loss, schedule and seed. All runs of a seed start from the weights that the first of them trains, those of a small ViT
with a class token. They retrain by one recipe; schedules say whether all blocks are cut at once, or one per epoch.

Rows go to `studies/results/mended.csv`, with the commit of the code that ran; rows that are there are not computed
again, and a run that was killed continues. After each row two more tables are written: means over seeds, and paired
differences, seed by seed, to the commit and to the schedule that are first in the table.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from benchmarks.presets import MODEL, ROOT, SPACES, read
from benchmarks.tables import RESULTS, over_seeds

RUNS = Path("runs") / "mended"
BASE = {"epochs": 20, "lr": 3e-3}
RECIPE = {"epochs": 10, "lr": 2e-3, "warmup": 1}
OPTIONS: Mapping[str, Mapping[str, Any]] = {"patch_slimming": {"grow": 1}}
"""What a preset's header changes for the digits."""
LOSSES: Mapping[str, Mapping[str, Any]] = {
    "adjoined, small_ce": {"loss": "adjoined", "small_ce": True},
    "adjoined": {"loss": "adjoined"},
    "plain": {"loss": "plain"},
}
SCHEDULES: Mapping[str, Mapping[str, Any]] = {
    "direct": {},
    "gradual": {"gradual": True},
    "gradual, votes anew": {"gradual": True, "importance": "ffn_votes"},
}
MEASURED = ["before_retraining", "retrained", "macs_share"]
START = "import sys; from nas.cli import main; sys.argv[0] = 'nas'; sys.exit(main())"


class Case(NamedTuple):
    """One run: the key of its row."""

    preset: str
    limit: str
    loss: str
    schedule: str
    commit: str
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        words = (self.commit, self.preset, self.limit.strip("%"), self.loss, self.schedule, str(self.seed))
        return "-".join(words).replace(", ", "_").replace(" ", "_")


KEY = list(Case._fields)
SETTINGS = KEY[:-1]
"""What is the same over seeds."""


def row(case: Case, tree: Path) -> dict[str, Any]:
    """Base, winner and retrained winner on the test images, from a run with the code of `tree`."""
    RUNS.mkdir(parents=True, exist_ok=True)
    folder, weights = RUNS.absolute() / case.name, RUNS.absolute() / f"base-{case.seed}.safetensors"
    study = folder.with_name(f"{case.name}.yaml")
    if not study.exists():  # a run that was begun goes on with the settings it has
        base = {"checkpoint": str(weights), "epochs": 0} if weights.exists() else BASE
        study.write_text(json.dumps({**_study(case, tree), "base": base, "folder": str(folder)}), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", START, "run", str(study)], cwd=tree, env=environment, check=True)
    if not weights.exists():
        shutil.copyfile(folder / "base" / "weights.safetensors", weights)
    models = pd.read_csv(folder / "report" / "results.csv").set_index("model")
    accuracy, macs = models["test_accuracy"], models["macs"]
    return {
        **case._asdict(),
        "base": accuracy["base"],
        "before_retraining": accuracy["winner"],
        "retrained": accuracy["winner, retrained"],
        "macs": macs["winner"],
        "macs_share": macs["winner"] / macs["base"],
    }


def _study(case: Case, tree: Path) -> dict[str, Any]:
    model, choices = (read(tree / "searchspaces" / f"{space}.yaml") for space in (MODEL, SPACES[case.preset]))
    return {
        "name": case.preset,
        "space": {**model, "choices": choices["choices"]},
        "strategy": {**read(tree / "strategies" / f"{case.preset}.yaml"), **OPTIONS.get(case.preset, {})},
        "data": {"name": "digits"},
        "limit": {"macs": case.limit},
        "baseline": 1,
        "importance": "given",
        "supernet": {"epochs": 0},
        "retrain": {**RECIPE, **LOSSES[case.loss], **SCHEDULES[case.schedule]},
        "latency": {"batches": [1], "seconds": 0.01},
        "seed": case.seed,
        "threads": 1,
    }


def _commit(tree: Path) -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(tree), *words], check=True, capture_output=True, text=True).stdout

    sources = ("nas", "strategies", "searchspaces")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", *sources)
    return git("rev-parse", "--short=12", "HEAD").strip() + ("+changes" if changed else "")


def differences(table: pd.DataFrame, of: str) -> pd.DataFrame:
    """What changes, seed by seed, from the first value of the column `of` to each other one, all else equal: mean and
    standard deviation over seeds.
    """
    first = table[of].iloc[0]
    rest = [column for column in KEY if column != of]
    pairs = table[table[of] != first].merge(table[table[of] == first], on=rest, suffixes=("", "_first"))
    changes = {column: pairs[column] - pairs[f"{column}_first"] for column in MEASURED}
    return over_seeds(pairs[KEY].assign(**changes), SETTINGS, MEASURED).assign(minus=first)


def write(table: pd.DataFrame) -> None:
    table.to_csv(RESULTS / "mended.csv", index=False)
    over_seeds(table, SETTINGS, ["base", *MEASURED]).to_csv(RESULTS / "mended_summary.csv")
    pd.concat([differences(table, of) for of in ("commit", "schedule")]).to_csv(RESULTS / "mended_differences.csv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("preset", choices=sorted(SPACES))
    parser.add_argument("--tree", type=Path, default=ROOT, help="checkout whose code runs (default: this one)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", nargs="+", default=["50%"], help="of the base model's MACs (default: 50%%)")
    parser.add_argument("--loss", nargs="+", choices=LOSSES, default=["adjoined, small_ce"])
    parser.add_argument("--schedule", nargs="+", choices=SCHEDULES, default=["direct"])
    arguments = parser.parse_args()
    tree, file = arguments.tree.absolute(), RESULTS / "mended.csv"
    for seed, limit, loss, schedule in product(
        range(arguments.seeds), arguments.limit, arguments.loss, arguments.schedule
    ):
        case = Case(arguments.preset, limit, loss, schedule, _commit(tree), seed)
        table = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=KEY)
        if case not in set(table[KEY].itertuples(index=False, name=None)):
            found = pd.DataFrame([row(case, tree)])
            write(pd.concat([table, found]) if len(table) else found)


if __name__ == "__main__":
    main()
