"""Search under a limit of milliseconds against search under a limit of MACs, at the same milliseconds.

    python -m benchmarks.latency_search fashion_mnist.npz [--seeds 3]

A small ViT on Fashion-MNIST (16 pixels, 16 tokens, up to 4 blocks). For each seed one base; from it, for each share of
the MACs, an evolution within that share; then one within the milliseconds that its winner was predicted to take by a
table of this machine's processor (one thread, one image). Both winners are retrained alike. Last, all winners are timed
in turns. Runs lie in `runs/latency_search`; what is done there is not done again. The plot shows what MACs do not say.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from benchmarks.presets import RECIPE, ROOT, read
from benchmarks.searches import CHOICES, MODEL_ARGS
from benchmarks.tables import RESULTS, over_seeds, paired
from nas import Study
from nas.latency.building import measured_table
from nas.latency.devices.cpu_torch import CpuTorch
from nas.latency.passes import Passes
from nas.latency.table import LATENCY, LatencyTable
from nas.searchspaces import Architecture, SearchSpace
from nas.studies.report.plots import CURVES, axes_of, in_style, svg
from nas.studies.run.results import BASE, EXPLORE, RETRAIN
from nas.studies.run.rows import BASE_MODEL
from nas.supernets import Supernet, build
from nas.supernets.of_space import image_of

RUNS = Path("runs") / "latency_search"
TABLE = RUNS / "table.json"
SPACE: Mapping[str, Any] = {"model": "vit_tiny_patch16_224", "model_args": MODEL_ARGS, "choices": CHOICES}
BUDGETS = (40, 70)
"""Per cent of the MACs."""
NUMBERS = ["score", "test_accuracy", "macs_share", "latency_share", "timed_share"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="Fashion-MNIST as .npz in the MedMNIST layout")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    supernet = supernet_here()
    table = table_here(supernet)
    winners: dict[tuple[str, int, int], Architecture] = {}
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        base = base_of(arguments.data, seed, RUNS)
        for budget in BUDGETS:
            by_macs = _searched(arguments.data, seed, base, f"macs-{budget}-{seed}", {"macs": f"{budget}%"})
            milliseconds = float(table.milliseconds(supernet.space, [_winner(by_macs)])[0])
            limit = {"latency": f"{milliseconds} ms"}
            by_latency = _searched(arguments.data, seed, base, f"latency-{budget}-{seed}", limit)
            for kind, study in (("macs", by_macs), ("latency", by_latency)):
                winners[kind, budget, seed] = _winner(study)
                rows.append({"limit": kind, "budget": budget, "seed": seed, **_numbers(study)})
    timed = _timed(supernet, list(winners.values()))
    frame = pd.DataFrame(rows).assign(timed_share=np.round(timed, 4))
    frame.to_csv(RESULTS / "latency_search.csv", index=False)
    _summarise(frame, supernet, table, list(winners.values()))


def supernet_here() -> Supernet:
    torch.manual_seed(0)
    space = SearchSpace.from_yaml(json.dumps(SPACE))
    return Supernet(build(space.model, space.model_args), space)


def table_here(supernet: Supernet) -> LatencyTable:
    """Measured once for all seeds."""
    if not TABLE.exists():
        RUNS.mkdir(parents=True, exist_ok=True)
        measured = measured_table(supernet, image_of(supernet.space), CpuTorch(threads=1), check=30)
        print(measured.table.accuracy, flush=True)
        measured.table.write(TABLE)
    return LatencyTable.read(TABLE)


def base_of(data: Path, seed: int, runs: Path) -> Mapping[str, Any]:
    """Settings that load the base of a seed, which a study of uniform search trains in a folder of runs."""
    trained = {"base": {**RECIPE, "epochs": 20, "lr": 2e-3}, "supernet": {"epochs": 0}, "retrain": {"epochs": 0}}
    found = {"space": SPACE, "strategy": {"use": "uniform", "trials": 1}, "limit": {"macs": "50%"}, "baseline": None}
    done(data, seed, runs / f"base-{seed}", {**trained, **found})
    return {"checkpoint": str((runs / f"base-{seed}" / BASE.name / "weights.safetensors").resolve()), "epochs": 0}


def _searched(data: Path, seed: int, base: Mapping[str, Any], name: str, limit: Mapping[str, str]) -> Study:
    changes = {
        "space": SPACE,
        "strategy": {**read(ROOT / "strategies" / "evolution.yaml"), "trials": 150},
        "limit": limit,
        "latency": {"table": str(TABLE.resolve())},
        "importance": "magnitude",
        "base": base,
        "supernet": {**RECIPE, "epochs": 12},
    }
    return done(data, seed, RUNS / name, changes)


def done(data: Path, seed: int, folder: Path, changes: Mapping[str, Any]) -> Study:
    """A study in its folder, run to its end; its winner is retrained as all of them are."""
    settings = {
        "name": folder.name,
        "data": {"path": str(data.resolve()), "image_size": 16, "train_images": 3000},
        "baseline": 1,
        "finalists": 1,
        "retrain": {**RECIPE, "loss": "adjoined", "small_ce": True},
        "seed": seed,
        "threads": 1,
        **changes,
    }
    study = Study.from_yaml(json.dumps(settings), folder=folder)
    study.run()
    return study


def _winner(study: Study) -> Architecture:
    return Architecture(study.record.result(EXPLORE).winner.architecture)


def _numbers(study: Study) -> dict[str, Any]:
    """What is known of a winner, and of it retrained."""
    rows = {row.model: row.flat() for row in study.record.result(RETRAIN).rows}
    retrained, whole = rows["winner, retrained"], rows[BASE_MODEL]
    return {
        "score": round(study.record.result(EXPLORE).winner.metrics["accuracy"], 5),
        "test_accuracy": round(retrained["test_accuracy"], 5),
        "macs_share": round(retrained["macs"] / whole["macs"], 4),
        "latency_share": round(retrained[LATENCY] / whole[LATENCY], 4),
        "commit": retrained["commit"][:12],
    }


def _timed(supernet: Supernet, winners: list[Architecture]) -> list[float]:
    """Of each winner as a share of the whole model, all of them in turns."""
    images = torch.randn(1, *image_of(supernet.space), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        timed = Passes(supernet.eval(), CpuTorch(threads=1), images).timed([], winners)
    return [one.milliseconds / timed.model.milliseconds for one in timed.whole]


def _summarise(rows: pd.DataFrame, supernet: Supernet, table: LatencyTable, winners: list[Architecture]) -> None:
    summary = over_seeds(rows, ["budget", "limit"], NUMBERS)
    summary.to_csv(RESULTS / "latency_search_summary.csv")
    print(summary.to_string())
    for budget, some in rows.groupby("budget"):
        points = 100 * some.pivot_table(index="seed", columns="limit", values="test_accuracy")
        print(f"{budget} % of the MACs: by latency less by MACs {paired(points['latency'], points['macs'])}")
    figure = svg(_plot(supernet, table, winners))
    (RESULTS / "latency_search.svg").write_text(figure, encoding="utf-8")


@in_style
def _plot(supernet: Supernet, table: LatencyTable, winners: list[Architecture]) -> Figure:
    """Random architectures by both shares, and what a choice saves of each."""
    space, cost = supernet.space, supernet.cost
    figure, axes = axes_of(9.0, 4.0, 1, 2)

    def shares(some: list[Architecture]) -> tuple[np.ndarray, np.ndarray]:
        latencies = 1e6 * table.milliseconds(space, some)
        return 100 * cost.macs(some) / cost.base("macs"), 100 * latencies / table.base

    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(1500)]
    for colour, depth in zip(CURVES, (2, 3, 4), strict=False):
        some = [one for one in drawn if one["depth"] == depth]
        if some:
            axes[0, 0].plot(*shares(some), ".", color=colour, markersize=3, label=f"{depth} blocks")
    axes[0, 0].plot(*shares(winners), "k+", markersize=8, label="winners")
    axes[0, 0].set_xlabel("MACs, % of the whole model's")
    axes[0, 0].set_ylabel("predicted latency, %")
    axes[0, 0].legend()
    names, saved = [], []
    for choice in space.values():
        if choice.name.endswith(("0", "depth")):
            smallest = space.spelled(Architecture({**space.largest, choice.name: choice.values[0]}))
            macs, latency = shares([space.largest, smallest])
            names.append(f"{choice.name}: {choice.values[-1]} to {choice.values[0]}")
            saved.append((macs[0] - macs[1], latency[0] - latency[1]))
    places = np.arange(len(names))
    for offset, label, colour in ((-0.2, "MACs", CURVES[0]), (0.2, "latency", CURVES[1])):
        axes[0, 1].barh(places + offset, [one[label == "latency"] for one in saved], 0.38, color=colour, label=label)
    axes[0, 1].set_yticks(places, names)
    axes[0, 1].set_xlabel("saved, % of the whole model's")
    axes[0, 1].legend()
    return figure


if __name__ == "__main__":
    main()
