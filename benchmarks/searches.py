"""Every black-box search on one trained supernet: how good a front it has after 200 and after 1,000 evaluations.

    python -m benchmarks.searches fashion_mnist.npz [--seeds 5] [--search nsga2]

The supernet is a small ViT on Fashion-MNIST, and the limit half of its MACs. All architectures within it are measured
first, once, into a cache, so that the true front is known, and every search after that only looks things up. What a
search saw of the images is what it pays: a candidate that was given up after a ninth of them is a ninth of an
evaluation, and one that was measured before is free.

Hypervolume is over accuracy and MACs, of the box from the least accurate architecture to the best one, and from the
limit to no MACs; 1 is the true front. Seconds are processor time of the searching process, without measuring.

"plain" rows are Optuna as one would use it without this toolkit: the same samplers, told how far a proposal is over the
limit as a constraint.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from pydantic import TypeAdapter

from benchmarks.cached import SHARES, Cached
from benchmarks.presets import RECIPE, ROOT, read
from benchmarks.tables import RESULTS, over_seeds
from nas import Study
from nas.errors import StrategyError
from nas.evaluation import Evaluator, Measure
from nas.search import Objective, Problem, Search, Strategy, find
from nas.searchspaces import Architecture, Limit, SearchSpace
from nas.studies.report.plots import CURVES, axes_of, in_style, svg
from nas.system.environment import commit

RUN = Path("runs") / "searches"
AT = (200, 1000)
"""Evaluations after which a search is judged."""
ACCURACY, MACS = Objective("accuracy", maximise=True), Objective("macs", maximise=False)
MODEL_ARGS = {"img_size": 16, "patch_size": 4, "in_chans": 1, "num_classes": 10, "embed_dim": 64, "depth": 4,
              "num_heads": 4, "class_token": False, "global_pool": "avg"}  # fmt: skip
CHOICES = {
    "depth": {"depth": [2, 3, 4]},
    "heads": {"size": [1, 2, 3, 4], "per": "block"},
    "mlp": {"size": [64, 128, 192, 256], "per": "block"},
}


@dataclass(frozen=True)
class Entry:
    """One row of the table: a preset and what is changed of it, how many objectives it has, how many trials."""

    preset: str
    options: Mapping[str, Any]
    objectives: Sequence[Objective] = (ACCURACY,)
    trials: int = AT[-1]


BOTH = (ACCURACY, MACS)
SEARCHES: Mapping[str, Entry] = {
    "uniform": Entry("uniform", {}),
    "evolution": Entry("evolution", {}),
    "evolution, 2 objectives": Entry("evolution", {}, BOTH),
    "autoformer": Entry("autoformer", {}),
    "nsga2, 2 objectives": Entry("nsga2", {}, BOTH),
    "nsga3, 2 objectives": Entry("nsga3", {}, BOTH),
    "tpe": Entry("tpe", {}),
    "tpe, 2 objectives": Entry("tpe", {}, BOTH),
    "gp": Entry("gp", {}, trials=AT[0]),
    "nni, regularized evolution": Entry("nni", {"sampler": "regularized_evolution"}),
    "nni, tpe": Entry("nni", {"sampler": "tpe"}),
    "nni, evolution": Entry("nni", {"sampler": "evolution"}),
    "halving": Entry("halving", {}, trials=4000),
    "ray, asha": Entry("ray", {"mode": "free", "asha": True}, trials=1000),
}
"""By name; racing sees a part of the images of most candidates, and has more trials for the same evaluations."""
PLAIN = {"optuna nsga2, plain": "NSGAIISampler", "optuna tpe, plain": "TPESampler"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="Fashion-MNIST as .npz in the MedMNIST layout")
    parser.add_argument("--search", action="append", help="some searches only (default: all)")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(arguments.data)
    file = RESULTS / "searches.csv"
    for name, seed in itertools.product(arguments.search or [*SEARCHES, *PLAIN], range(arguments.seeds)):
        table = pd.read_csv(file) if file.exists() else pd.DataFrame({"search": [], "seed": []})
        if len(table[(table["search"] == name) & (table["seed"] == seed)]):
            continue
        try:
            row = bench.plain(name, seed) if name in PLAIN else bench.search(name, seed)
        except StrategyError as absent:
            print(f"{name}: left out, {absent}")
            continue
        print(row, flush=True)
        pd.concat([table, pd.DataFrame([row])]).to_csv(file, index=False)
    summarise(file)


class Bench:
    """The trained supernet, everything within the limit measured on it, and what a search needs to be judged."""

    def __init__(self, data: Path) -> None:
        study = Study.from_yaml(json.dumps(_study(data)), folder=RUN)
        study.run()
        workshop = study._workshop(show=False)
        supernet = workshop.supernets.shared()
        self.space, self.cost = workshop.space, workshop.cost
        assert workshop.limit is not None
        self.limit: Limit = workshop.limit
        evaluator = Evaluator(supernet, workshop.data.validation, workshop.data.task)
        self.measure = Cached(Measure(evaluator), str((RUN / "measured").resolve()))
        rows = _all(self.space)
        self.rows = rows[self.limit.allows(rows)]
        found = [self.measure(a)["accuracy"] for a in self.space.from_table(self.rows)]
        self.accuracies, self.macs = np.array(found), self.cost.macs(self.rows)
        self.front = self.volume(self.accuracies, self.macs)
        print(f"{len(self.rows)} of {self.space.size} architectures within {self.limit.describe()}, "
              f"accuracy {min(found):.4f} to {max(found):.4f}", flush=True)  # fmt: skip

    def volume(self, accuracies: np.ndarray, macs: np.ndarray) -> float:
        """Hypervolume as a share of the box, see the module."""
        if not len(macs):
            return 0.0
        (low, high), most = (self.accuracies.min(), self.accuracies.max()), float(self.limit.bounds["macs"][1])
        points = np.stack([(high - accuracies) / (high - low), macs / most], axis=1)
        return float(moocore.hypervolume(points, ref=np.array([1.0, 1.0])))

    def search(self, name: str, seed: int) -> dict[str, Any]:
        """The row of one search of ours."""
        entry = SEARCHES[name]
        measure = _Timed(self.measure)
        problem = Problem(
            space=self.space,
            objectives=tuple(entry.objectives),
            strategy=name,
            seed=seed,
            trials=entry.trials,
            limit=self.limit,
        )
        search = Search(
            problem=problem,
            measure=self.measure if entry.preset == "ray" else measure,
            counts=self.cost.counts,
            record=lambda _: None,
        )
        strategy = _strategy(entry)
        started = time.process_time()
        trials = list(strategy.search(search))
        taken = time.process_time() - started - measure.seconds
        points = [
            Point(0.0 if trial.cached else trial.share, trial.value("accuracy"), trial.costs["macs"], trial.state)
            for trial in sorted(trials, key=lambda trial: trial.number)
        ]
        return self._row(name, seed, points, taken)

    def plain(self, name: str, seed: int) -> dict[str, Any]:
        """The row of Optuna used plainly, in ask and tell, over accuracy and MACs."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = getattr(optuna.samplers, PLAIN[name])(seed=seed)
        study = optuna.create_study(sampler=sampler, directions=["maximize", "minimize"])
        most, points, taken = float(self.limit.bounds["macs"][1]), [], 0.0
        for _ in range(AT[-1]):
            started = time.process_time()
            trial = study.ask()
            row = [trial.suggest_categorical(n, range(len(c.values))) for n, c in self.space.items()]
            taken += time.process_time() - started
            architecture = self.space.from_table(self.space.canonical(np.array([row])))[0]
            macs = self.cost.counts(architecture)["macs"]
            accuracy = self.measure(architecture)["accuracy"]
            started = time.process_time()
            trial.set_constraint("macs", macs / most - 1)
            study.tell(trial, [accuracy, macs])
            taken += time.process_time() - started
            points.append(Point(1.0, accuracy, macs, "done" if macs <= most else "over"))
        return self._row(name, seed, points, taken)

    def _row(self, name: str, seed: int, points: Sequence[Point], seconds: float) -> dict[str, Any]:
        spent = np.cumsum([point.worth for point in points])
        found: dict[str, Any] = {"search": name, "seed": seed}
        for budget in AT:
            reached = bool(spent[-1] >= budget * 0.99 or len(points) >= budget)
            good = [p for p, cost in zip(points, spent, strict=True) if cost <= budget and p.state == "done"]
            accuracies, macs = (np.array([getattr(p, key) for p in good], dtype=float) for key in ("accuracy", "macs"))
            volume = self.volume(accuracies, macs) / self.front
            found[f"hypervolume_{budget}"] = round(volume, 5) if reached else np.nan
            lost = self.accuracies.max() - max(accuracies, default=self.accuracies.min())
            found[f"regret_{budget}"] = round(100 * float(lost), 4) if reached else np.nan
        return found | {
            "trials": len(points),
            "evaluations": round(float(spent[-1]), 1),
            "feasible": sum(point.state != "over" for point in points) / len(points),
            "ms_per_trial": round(1e3 * seconds / len(points), 3),
            "commit": commit(),
        }


@dataclass(frozen=True)
class Point:
    """A trial as it is judged: what it cost in evaluations, and what came of it."""

    worth: float
    accuracy: float
    macs: int
    state: str


class _Timed:
    """A measure, and the processor time spent in it."""

    def __init__(self, measure: Cached) -> None:
        self._measure, self.seconds = measure, 0.0

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        return next(self.stages(architecture, SHARES[-1:]))

    def stages(self, architecture: Architecture, shares: Sequence[float]) -> Iterator[Mapping[str, float]]:
        started = time.process_time()
        found = list(self._measure.stages(architecture, shares))
        self.seconds += time.process_time() - started
        return iter(found)


def _strategy(entry: Entry) -> Strategy:
    options = {**read(ROOT / "strategies" / f"{entry.preset}.yaml"), **entry.options, "trials": entry.trials}
    found: Strategy = TypeAdapter(find(options.pop("use"))).validate_python(options, strict=False)
    return found


def _study(data: Path) -> dict[str, Any]:
    return {
        "name": "searches",
        "space": {"model": "vit_tiny_patch16_224", "model_args": MODEL_ARGS, "choices": CHOICES},
        "strategy": {"use": "uniform", "trials": 1},
        "data": {"path": str(data), "image_size": 16, "train_images": 3000},
        "limit": {"macs": "50%"},
        "base": {**RECIPE, "epochs": 20, "lr": 2e-3},
        "supernet": {**RECIPE, "epochs": 12},
        "retrain": {"epochs": 0},
        "threads": 1,
    }


def _all(space: SearchSpace) -> np.ndarray:
    """Every architecture of a space, as a table."""
    counts = [len(choice.values) for choice in space.values()]
    grid = np.stack([axis.ravel() for axis in np.meshgrid(*map(np.arange, counts), indexing="ij")], axis=1)
    return np.unique(space.canonical(grid), axis=0)


def summarise(file: Path) -> None:
    """Mean and standard deviation over seeds of every search, and the plot of hypervolumes."""
    table = pd.read_csv(file)
    columns = [column for column in table if column not in ("search", "seed", "commit")]
    summary = over_seeds(table, ["search"], columns)
    summary.to_csv(file.with_name("searches_summary.csv"))
    file.with_name("searches.svg").write_text(svg(_plot(summary)), encoding="utf-8")
    print(summary.drop(columns="commit").to_string())


@in_style
def _plot(summary: pd.DataFrame) -> Figure:
    """A row per search: its hypervolume after each of `AT` evaluations, with the spread over seeds."""
    figure, axes = axes_of(7.2, 4.8, 1, 2, sharey=True)
    for axis, budget in zip(axes[0], AT, strict=True):
        known = summary.dropna(subset=f"hypervolume_{budget}_mean").sort_values(f"hypervolume_{budget}_mean")
        places = [summary.index.get_loc(name) for name in known.index]
        axis.errorbar(known[f"hypervolume_{budget}_mean"], places, xerr=known[f"hypervolume_{budget}_std"], fmt="o",
                      color=CURVES[1], markersize=5)  # fmt: skip
        axis.set_title(f"after {budget:,} evaluations")
        axis.set_xlabel("hypervolume, share of the true front's")
        axis.set_yticks(range(len(summary)), summary.index)
    axes[0, 0].invert_yaxis()
    return figure


if __name__ == "__main__":
    main()
