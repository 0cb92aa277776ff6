"""Does the ranking with shared weights hold after retraining? Three rules for training the supernet, side by side.

    python -m benchmarks.tau fashion_mnist.npz [--seeds 3] [--rule sandwich]

A small ViT on Fashion-MNIST at 16 x 16 pixels: one base model per seed (20 epochs), a supernet from it by each rule, 6
passes over the same 3,000 images, and 16 architectures within the limit, each retrained 6 epochs from its shared
weights (`nas tau`), with plain cross-entropy, so that no other network has a part in it. 1,500 more images serve as
search-validation split, so that few architectures are tied. The passes are equal, the cost is not: a step runs 1
sub-network (uniform), the largest and 1 (adjoined), or the largest, the smallest and 2 (sandwich); `supernet_seconds`
says what that took. Runs lie in `runs/tau`, and what is done there is not done again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from ruamel.yaml import YAML

from benchmarks.tables import RESULTS, over_seeds
from nas import Study
from nas.studies.report.plots import CURVES, axes_of, in_style, svg
from nas.studies.run.rank_truth import RankTruth
from nas.studies.run.results import SUPERNET

ROOT = Path(__file__).parents[1]
RUNS = Path("runs") / "tau"
RULES = ("uniform", "adjoined", "sandwich")
"""By how many sub-networks a step runs: 1, 2 and 4."""
ARCHITECTURES = 16
RECIPE = {"epochs": 6, "lr": 1e-3, "batch": 64, "warmup": 1}
BASE = {**RECIPE, "epochs": 20, "lr": 2e-3}
KEYS = ["rule", "seed"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="Fashion-MNIST as .npz in the MedMNIST layout")
    parser.add_argument("--rule", action="append", choices=RULES, help="some rules only (default: all)")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    for seed in range(arguments.seeds):
        base = _base(arguments.data, seed)
        for rule in arguments.rule or RULES:
            study = _study(arguments.data, seed, base, rule)
            study.run(quiet=True)
            _write(rule, seed, study, study.tau(architectures=ARCHITECTURES))
            print(f"{rule}, seed {seed}: done", flush=True)
    _summarise()


def _base(data: Path, seed: int) -> Mapping[str, Any]:
    """Settings that load the base of a seed; it is trained by a study that does little else."""
    study = _study(data, seed, BASE, None)
    study.run(quiet=True)
    return {"checkpoint": str(study.folder.path / "base" / "weights.safetensors"), "epochs": 0}


def _study(data: Path, seed: int, base: Mapping[str, Any], rule: str | None) -> Study:
    """The study of a rule; without one, the supernet has the weights of the base. Its search has a single trial: what
    is ranked is drawn by `nas tau`.
    """
    name = rule or "base"
    return Study.from_yaml(
        json.dumps(
            {
                "name": name,
                "space": _space(),
                "strategy": {"use": "uniform", "trials": 1},
                "data": {"path": str(data), "image_size": 16, "train_images": 4500, "validation": 1 / 3},
                "limit": {"macs": "60%"},
                "importance": "magnitude" if rule else "given",
                "base": base,
                "supernet": {**RECIPE, "rule": rule} if rule else {"epochs": 0},
                "retrain": {**RECIPE, "epochs": RECIPE["epochs"] if rule else 0, "loss": "plain"},
                "latency": {"seconds": 0.1},
                "seed": seed,
                "threads": 1,
            }
        ),
        folder=RUNS / f"{name}-{seed}",
    )


def _space() -> dict[str, Any]:
    """`vit_digits` for 16 pixels, in patches of 4."""
    space: dict[str, Any] = YAML(typ="safe").load(ROOT / "searchspaces" / "vit_digits.yaml")
    space["model_args"] |= {"img_size": 16, "patch_size": 4}
    return space


def _write(rule: str, seed: int, study: Study, truth: RankTruth) -> None:
    """Adds the architectures and the statistics of a run to the tables, in place of older ones of it."""
    record, commit = study.record, study.record.identity.commit
    about = {
        "supernet_seconds": round(record.seconds["supernet"], 1),
        "supernet_largest": record.result(SUPERNET).validation[truth.metric],
        "images": truth.images,
        **truth.ties,
        "commit": commit,
    }
    found = {}
    for row in truth.summary.round(5).to_dict("records"):
        name = row["statistic"]
        found |= {name: row["value"], f"{name} low": row["low"], f"{name} high": row["high"]}
    _append("tau", truth.table.assign(rule=rule, seed=seed, commit=commit), rule, seed)
    _append("tau_seeds", pd.DataFrame([{"rule": rule, "seed": seed, **found, **about}]), rule, seed)


def _append(name: str, frame: pd.DataFrame, rule: str, seed: int) -> None:
    file = RESULTS / f"{name}.csv"
    frame = frame[[*KEYS, *frame.columns.difference(KEYS, sort=False)]]
    if file.exists():
        before = pd.read_csv(file)
        frame = pd.concat([before[(before["rule"] != rule) | (before["seed"] != seed)], frame])
    frame.sort_values(KEYS, kind="stable").to_csv(file, index=False)


def _summarise() -> None:
    """Mean and standard deviation over seeds of every rule, and the plot."""
    seeds = pd.read_csv(RESULTS / "tau_seeds.csv")
    columns = ["tau", "tau of MACs", "regret@1", "regret@3", "supernet_largest", "supernet_seconds"]
    summary = over_seeds(seeds, ["rule"], columns).assign(architectures=ARCHITECTURES)
    summary.loc[[rule for rule in RULES if rule in summary.index]].to_csv(RESULTS / "tau_summary.csv")
    drawn = _plot(pd.read_csv(RESULTS / "tau.csv"), seeds)
    (RESULTS / "tau.svg").write_text(svg(drawn), encoding="utf-8")


@in_style
def _plot(table: pd.DataFrame, seeds: pd.DataFrame) -> Figure:
    """A panel per rule: accuracy after retraining over accuracy with shared weights, a colour and shape per seed."""
    rules = [rule for rule in RULES if rule in set(table["rule"])]
    figure, axes = axes_of(2.9 * len(rules), 3.1, 1, len(rules), sharey=True)
    labelled = {}
    for axis, rule in zip(axes[0], rules, strict=True):
        for seed, rows in table[table["rule"] == rule].groupby("seed"):
            labelled[f"seed {seed}"] = axis.scatter(
                100 * rows["shared_accuracy"], 100 * rows["retrained_accuracy"], s=20, alpha=0.85, zorder=3,
                color=CURVES[int(str(seed)) % len(CURVES)], marker="osD^"[int(str(seed)) % 4], linewidths=0,
            )  # fmt: skip
        taus = seeds.loc[seeds["rule"] == rule, "tau"]
        spread = f" ± {taus.std():.2f}" if len(taus) > 1 else ""
        axis.set_title(f"{rule}: tau-b {taus.mean():.2f}{spread}", fontsize=9, loc="left")
        axis.set_xlabel("shared weights (%)")
    axes[0, 0].set_ylabel("validation accuracy, retrained (%)")
    figure.legend(labelled.values(), labelled.keys(), loc="outside lower center", ncols=len(labelled), fontsize=8.5)
    return figure


if __name__ == "__main__":
    main()
