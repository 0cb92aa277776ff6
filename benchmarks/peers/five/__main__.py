"""Ours beside Torch-Pruning on five small models.

    python -m benchmarks.peers.five --data cifar10.npz [--images 10000] [--base 4] [--retrain 2]

Rows in `studies/results/five_axes.csv` (which axes each finds without a word about heads, and in what time) and in
`studies/results/five_pruned.csv` (one trained base, at half its MACs by both, the same retraining). A model that
Torch-Pruning cannot prune has a row that says why. The whole runs in the environment that has Torch-Pruning.
"""

from __future__ import annotations

import argparse
import copy
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.peers.__main__ import PACKAGES
from benchmarks.peers.environment import python_with
from benchmarks.peers.five.found import ours, torch_pruning
from benchmarks.peers.five.models import SUBJECTS, Subject, macs
from benchmarks.peers.five.pruned import by_ours, by_torch_pruning
from benchmarks.tables import RESULTS, Rows
from nas.data import Data, DataSpec, load_data
from nas.evaluation import evaluate
from nas.system.environment import commit
from nas.training import FitCall, PlainStep, Recipe, Runtime, fit

INSIDE = "NAS_BENCHMARK_WITH_TORCH_PRUNING"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--base", type=int, default=4, help="epochs of the base")
    parser.add_argument("--retrain", type=int, default=2, help="epochs of what was pruned")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if INSIDE not in os.environ:
        python = python_with(*PACKAGES["torch_pruning"])
        command = [str(python), "-m", "benchmarks.peers.five", *sys.argv[1:]]
        sys.exit(subprocess.run(command, check=False, env={**os.environ, INSIDE: "1"}).returncode)
    torch.set_num_threads(1)
    at = commit()
    axes, pruned = (
        Rows(RESULTS / "five_axes.csv", ["model", "tool"]),
        Rows(RESULTS / "five_pruned.csv", ["model", "tool", "seed"]),
    )
    for name, subject in SUBJECTS.items():
        if not axes.has(model=name, tool="ours"):
            row, derivation = ours(subject)
            for found in (row, torch_pruning(subject, derivation)):
                _put(axes, {"model": name, **found, "commit": at})
    for name, subject in SUBJECTS.items():
        if not pruned.has(model=name, tool="base", seed=arguments.seed):
            for found in _trained(subject, arguments):
                _put(pruned, {"model": name, "seed": arguments.seed, **found, "commit": at})


def _put(rows: Rows, row: dict[str, Any]) -> None:
    rows.append(row)
    print(row, flush=True)


def _trained(subject: Subject, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of the base and of what both make of it."""
    spec = DataSpec(path=str(arguments.data), train_images=arguments.images)
    data, seed = load_data(spec, image_size=subject.side, seed=arguments.seed), arguments.seed
    base = subject.model(seed)
    _fit(base, data, arguments.base, seed)
    rows = [{"tool": "base", **_measured(base, subject, data)}]
    for tool, prune in (("ours", by_ours), ("Torch-Pruning", by_torch_pruning)):
        start = time.process_time()
        try:
            small = prune(copy.deepcopy(base), subject, data, seed)
        except Exception as fault:  # of a package that was not written for this model
            rows.append({"tool": tool, "note": f"{type(fault).__name__}: {(str(fault).splitlines() or [''])[0]}"})
            continue
        seconds = time.process_time() - start
        _fit(small, data, arguments.retrain, seed)
        rows.append({"tool": tool, **_measured(small, subject, data), "seconds_to_prune": round(seconds, 1)})
    spent = {"images": arguments.images, "base_epochs": arguments.base, "retrain_epochs": arguments.retrain}
    return [{**row, **spent} for row in rows]


def _fit(model: nn.Module, data: Data, epochs: int, seed: int) -> None:
    recipe = Recipe(epochs=epochs, lr=2e-3, batch=64, warmup=0.5, augment="crop+flip")
    fit(FitCall(model, PlainStep(), data, recipe, seed), Runtime(progress=False))


def _measured(model: nn.Module, subject: Subject, data: Data) -> dict[str, Any]:
    return {
        "test_accuracy": round(evaluate(model.eval(), data.test, data.task).metrics["accuracy"], 4),
        "macs": macs(model, subject.image),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


if __name__ == "__main__":
    main()
