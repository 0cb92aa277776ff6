"""Every preset of `strategies/` on one base model: same weights, same images, same limit; one table and one plot.

    python -m benchmarks.presets fashion_mnist.npz [--seeds 3] [--preset dan]

The base is a small ViT with a class token on Fashion-MNIST. Each preset is a study as a user runs it, with the choices
of the search space that its file names: see SPACES. Only black-box searches train a supernet, and have `TRIALS` trials.
Runs lie in `runs/presets`, and what is done there is not done again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from benchmarks.tables import RESULTS, over_seeds
from nas import Study, search
from nas.studies.report.comparison import comparison
from nas.studies.report.plots import svg
from nas.studies.run.compare import compare
from nas.tasks.classification import ACCURACY

ROOT = Path(__file__).parents[1]
RUNS = Path("runs") / "presets"
TRIALS = 100
MODEL = "vit_digits_tokens"
"""The search space whose model is the base: it has a class token."""
SPACES = {
    "patch_slimming": "vit_digits_tokens",
    "mcf": "deit_small_ffn",
    "vtp": "deit_tiny_inputs",
    "vtp_svd": "deit_tiny_ranks",
}
"""Whose choices a preset takes; the others take depth, heads and hidden units, those of `vit_digits`."""
RECIPE = {"epochs": 6, "lr": 1e-3, "batch": 64, "warmup": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="Fashion-MNIST as .npz in the MedMNIST layout")
    parser.add_argument("--preset", action="append", help="some presets only (default: all)")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    presets = arguments.preset or sorted(path.stem for path in (ROOT / "strategies").glob("*.yaml"))
    for seed in range(arguments.seeds):
        base = _base(arguments.data, seed)
        for preset in presets:
            write(preset, seed, _run(preset, arguments.data, seed, base))
    summarise()


def _run(preset: str, data: Path, seed: int, base: Mapping[str, Any], name: str | None = None) -> Study:
    """The study of one preset, run in the folder `name`."""
    options = read(ROOT / "strategies" / f"{preset}.yaml")
    searches = not search.find(options["use"]).needs_supernet
    trials = {"trials": TRIALS} if searches else {}
    if "training" in options:
        options["training"] = RECIPE | ({"lr": options["training"]["lr"]} if preset == "patch_slimming" else {})
    study = Study.from_yaml(
        json.dumps(
            {
                "name": preset,
                "space": _space(SPACES.get(preset, "vit_digits")),
                "strategy": {**options, **trials, "name": preset},
                "data": {"path": str(data), "image_size": 16, "train_images": 3000},
                "limit": {"macs": "50%"},
                "baseline": 1,
                "finalists": 1,
                "importance": "magnitude" if searches else "given",
                "base": base,
                "supernet": RECIPE if searches else {"epochs": 0},
                "retrain": {**RECIPE, "loss": "adjoined", "small_ce": True},
                "seed": seed,
                "threads": 1,
            }
        ),
        folder=RUNS / f"{name or preset}-{seed}",
    )
    study.run()
    return study


def _base(data: Path, seed: int) -> Mapping[str, Any]:
    """Settings that load the base of a seed; it is trained by a study of AN, which trains little else."""
    _run("an", data, seed, {**RECIPE, "epochs": 20, "lr": 2e-3}, "base")
    return {"checkpoint": str(RUNS / f"base-{seed}" / "base" / "weights.safetensors"), "epochs": 0}


def _space(choices: str) -> dict[str, Any]:
    """The model with a class token, and the choices of a ready-made space. 16 pixels in patches of 4: 17 tokens."""
    model = read(ROOT / "searchspaces" / f"{MODEL}.yaml")
    model["model_args"] |= {"patch_size": 4}
    return {**model, "choices": read(ROOT / "searchspaces" / f"{choices}.yaml")["choices"]}


def read(path: Path) -> dict[str, Any]:
    """A YAML file."""
    found: dict[str, Any] = YAML(typ="safe").load(path)
    return found


def write(preset: str, seed: int, study: Study) -> None:
    """Adds the rows of a run to the table, but for those of its baseline: `uniform` is a preset as well."""
    frame = compare([study.record])
    frame = frame[~frame["model"].str.startswith("uniform") | (preset == "uniform")]
    frame = frame.assign(study=preset, seed=seed, seconds=study.record.seconds["explore"])
    latency = frame["latency_ms_batch_64"]
    frame = frame.assign(speedup_batch_64=(latency.iloc[0] / latency).round(3))
    frame = frame.drop(columns=[column for column in frame if column.startswith("latency_ms")])
    file = RESULTS / "presets.csv"
    rows = pd.concat([pd.read_csv(file), frame]) if file.exists() else frame
    rows.drop_duplicates(["study", "seed", "model"], keep="last").to_csv(file, index=False)


def summarise() -> None:
    """Mean and standard deviation over seeds of every preset, and the plot of the means."""
    table = pd.read_csv(RESULTS / "presets.csv")
    columns = ["test_accuracy", "macs", "params", "speedup_batch_64", "seconds"]
    by = ["study", "model", "strategy"]
    over_seeds(table, by, columns).to_csv(RESULTS / "presets_summary.csv")
    means = table.groupby(by, sort=False, dropna=False)[columns].mean().reset_index()
    (RESULTS / "presets.svg").write_text(svg(comparison(means, ACCURACY)), encoding="utf-8")


if __name__ == "__main__":
    main()
