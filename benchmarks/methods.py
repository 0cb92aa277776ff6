"""Every method of the toolkit on one base model: a small ViT and a small Swin on Fashion-MNIST, under limits.

    python -m benchmarks.methods fashion_mnist.npz [--model vit] [--seeds 3]

`vit_tokens` and `vit_matrices` are one ViT with a class token, for the methods on tokens (Patch Slimming) and on inputs
and ranks of matrices (MCF, decompositions).

All start from the same trained base of a seed, and all winners are retrained by the same recipe. What differs is how
they are found: see METHODS. One row per (model, seed, method, limit) is appended to `studies/results/methods-MODEL.csv`
when it is known; rows that are there are not computed again. The summary over seeds is written at the end.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from benchmarks.pairs import ratio
from benchmarks.tables import RESULTS, over_seeds
from nas.data import Data, DataSpec, Split, load_data
from nas.evaluation import Evaluator, evaluate
from nas.importance import Importance
from nas.search import Objective, Problem, Search, find, winner
from nas.search.sizing import Sizing, criterion_of
from nas.searchspaces import Architecture, Limit, SearchSpace
from nas.supernets import Supernet, build
from nas.supernets.decompositions import METHODS as METHODS_OF_FACTORING
from nas.system.environment import commit
from nas.tasks.classification import Classification
from nas.training import AdjoinedStep, FitCall, PlainStep, Recipe, Runtime, fit
from nas.training.objectives.gradual import Gradual
from nas.training.rules.sandwich import Sandwich
from nas.training.workplace import Workplace

LIMITS = (80, 60, 40)
"""Per cent of the base model's MACs: 20, 40, 60 % fewer."""
BASE = Recipe(epochs=20, lr=2e-3, batch=64, warmup=2)
SEARCH = Recipe(epochs=6, lr=1e-3, batch=64, warmup=1)
RETRAIN = Recipe(epochs=6, lr=1e-3, batch=64, warmup=1)
TRIALS = 100
SANDWICH_RUNS = 4
"""Sub-networks that the sandwich rule trains per step."""

CLASSIFYING = {"img_size": 16, "embed_dim": 64, "depth": 4, "num_heads": 4}
ARGS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "vit_tokens": ("vit_tiny_patch16_224", {**CLASSIFYING, "patch_size": 2}),
    "vit_matrices": ("vit_tiny_patch16_224", {**CLASSIFYING, "patch_size": 4}),
    "vit": (
        "vit_tiny_patch16_224",
        {"img_size": 16, "patch_size": 4, "embed_dim": 64, "depth": 4, "num_heads": 4, "class_token": False,
         "global_pool": "avg"},
    ),
    "swin": (
        "swin_tiny_patch4_window7_224",
        {"img_size": 16, "patch_size": 2, "window_size": 4, "embed_dim": 32, "depths": [2, 2], "num_heads": [2, 4]},
    ),
}  # fmt: skip
EIGHTHS = {"size": {"from": 0.125, "to": 1.0, "step": 0.125}, "per": "block"}
SIXTEENTHS = {"size": {"from": 0.125, "to": 1.0, "step": 0.0625}, "per": "block"}
SPACES: Mapping[str, dict[str, Any]] = {
    "widths": {"heads": {"size": [0.25, 0.5, 0.75, 1.0], "per": "block"}, "mlp": EIGHTHS},
    "dimensions": {"head_dim": {"size": {"from": 2, "to": 16, "step": 2}, "per": "block"}, "mlp": EIGHTHS},
    "inputs": dict.fromkeys(("qkv_in", "proj_in", "fc1_in", "mlp"), EIGHTHS),
    "dropped": {"queries": {"keep": {"from": 1, "to": 65, "step": 4}, "drop": True}},
    "carried": {"queries": {"keep": {"from": 1, "to": 65, "step": 4}}},
    "networks": {"fc1_in": SIXTEENTHS, "mlp": SIXTEENTHS},
    "ranks": {"rank": {"rank": {"from": 2, "to": 64, "step": 2}, "of": ["qkv", "proj", "fc1", "fc2"]}},
}


@dataclass(frozen=True)
class Method:
    """How a winner is found. `sizing` needs an `importance`; black-box strategies need a supernet that is trained.

    `like` names a method whose winner's sizes are taken, for units in another order; `level` levels them first: the
    same in all blocks but the last, at the nearest MACs.
    """

    space: str
    strategy: str = "threshold"
    options: Mapping[str, Any] = field(default_factory=dict)
    importance: Mapping[str, Any] | None = None
    trained: bool = False
    gradual: bool = False
    limits: Sequence[int] = LIMITS
    like: str | None = None
    level: bool = False


def _gates(where: str) -> dict[str, Any]:
    training = {key: getattr(SEARCH, key) for key in ("epochs", "lr", "batch", "warmup")}
    return {"use": "l1_gates", "where": where, "training": training}


METHODS: Mapping[str, Method] = {
    "uniform": Method("widths", "uniform", {"trials": TRIALS}, trained=True),
    "evolution": Method("widths", "evolution", {"trials": TRIALS, "population": 25, "sample": 5}, trained=True),
    "taylor, evolution": Method("widths", "evolution", {"trials": TRIALS, "population": 25, "sample": 5},
                                {"use": "taylor"}, trained=True),
    "an": Method("widths", "an"),
    "dan": Method("widths", "dan", {"training": SEARCH, "target": "limit", "arch_lr": 2e-2, "small_ce": True}),
    "magnitude, threshold": Method("dimensions", "threshold", {"normalise": True}, {"use": "magnitude"}),
    "taylor, threshold": Method("dimensions", "threshold", {}, {"use": "taylor"}),
    "taylor, knapsack": Method("dimensions", "knapsack", {}, {"use": "taylor"}),
    "sidt": Method("dimensions", "threshold", {}, _gates("produced")),
    "vtp": Method("inputs", "threshold", {}, _gates("consumed")),
}  # fmt: skip


def _slimming(space: str) -> Method:
    importance = {"use": "patch_impact", "images": 512}
    options = {"tolerance": 0.005, "grow": 4, "training": Recipe(epochs=3, lr=3e-4, batch=64, warmup=0)}
    return Method(space, "tolerance", {**options, "importance": importance}, limits=LIMITS[2:])


def _its_schedule(measure: str, *, level: bool = False) -> Method:
    importance = {"use": "patch_impact", "images": 512, "measure": measure}
    return Method("dropped", importance=importance, limits=LIMITS[2:], like="patch slimming", level=level)


ALIKE = {"ranking": "per_layer"}
TOKENS: Mapping[str, Method] = {
    "patch slimming": _slimming("dropped"),
    "its schedule, by impact": _its_schedule("impact"),
    "its schedule, by attention": _its_schedule("attention"),
    "its schedule, random": _its_schedule("random"),
    "same tokens in all blocks": _its_schedule("impact", level=True),
    "same tokens, random": _its_schedule("random", level=True),
    "patch slimming, carry": _slimming("carried"),
}
MATRICES: Mapping[str, Method] = {
    "mcf": Method("networks", "threshold", ALIKE, {"use": "ffn_votes"}, limits=LIMITS[1:2]),
    "mcf, gradual": Method("networks", "threshold", ALIKE, {"use": "ffn_votes"}, gradual=True, limits=LIMITS[1:2]),
    "mcf, shared": Method("networks", "threshold", ALIKE, {"use": "ffn_votes", "shared": True}, limits=LIMITS[1:2]),
    "mcf by magnitude": Method("networks", "threshold", ALIKE, {"use": "magnitude"}, limits=LIMITS[1:2]),
    **{
        method: Method("ranks", "threshold", ALIKE, {"use": "directions", "method": method}, limits=LIMITS[1:2])
        for method in METHODS_OF_FACTORING
    },
    "svd, energy": Method("ranks", "threshold", {"ranking": "energy"}, {"use": "directions"}, limits=LIMITS[1:2]),
    "svd, knapsack": Method("ranks", "knapsack", {}, {"use": "directions"}, limits=LIMITS[1:2]),
}
STUDIES: Mapping[str, Mapping[str, Method]] = {
    "vit": METHODS, "swin": METHODS, "vit_tokens": TOKENS, "vit_matrices": MATRICES,
}  # fmt: skip


@dataclass
class Bench:
    """One base model of one seed, and what several methods share: importances that were trained, supernets."""

    name: str
    seed: int
    data: Data
    folder: Path
    supernets: dict[Any, Any] = field(default_factory=dict)
    winners: dict[tuple[str, int], Architecture] = field(default_factory=dict)
    """Of (method, limit), as far as they are known."""

    def runtime(self, title: str) -> Runtime:
        """A training that continues where it was killed."""
        return Runtime(checkpoint=self.folder / f"{title}.safetensors", title=title, progress=False)

    def space(self, name: str) -> SearchSpace:
        """One of SPACES on this model."""
        timm_name, args = ARGS[self.name]
        args = {**args, "in_chans": self.data.channels, "num_classes": self.data.classes}
        return SearchSpace.from_yaml(json.dumps({"model": timm_name, "model_args": args, "choices": SPACES[name]}))

    def base(self) -> nn.Module:
        """The trained base model, a fresh copy."""
        space = self.space(next(iter(STUDIES[self.name].values())).space)
        torch.manual_seed(self.seed)
        model = build(space.model, space.model_args)
        fit(FitCall(model, PlainStep(), self.data, BASE, self.seed), self.runtime("base"))
        return model

    def prepared(self, method: Method) -> tuple[Supernet, Mapping[str, Any], float]:
        """A supernet in order of the method's importance, its sorted scores, and the passes over the data it took."""
        key = (method.space, repr(method.importance), method.trained)
        if key not in self.supernets:
            self.supernets[key] = self._prepare(method)
        supernet, scores, passes = self.supernets[key]
        return copy.deepcopy(supernet), scores, passes

    def _prepare(self, method: Method) -> tuple[Supernet, Mapping[str, Any], float]:
        supernet = Supernet(self.base(), self.space(method.space))
        scores: Mapping[str, Any] = {}
        passes = 0.0
        if method.importance:
            ranked = _criterion(method).apply(supernet, self.workplace(method_title(method)))
            scores, passes = ranked.scores, float(len(ranked.history))
            passes += _looked_at(method.importance, len(self.data.train))
        if method.trained:
            step = Sandwich().step(supernet.space)
            call = FitCall(supernet, step, self.data, SEARCH, self.seed)
            fit(call, self.runtime(f"sandwich-{method.importance is None}"))
            passes += SEARCH.epochs * SANDWICH_RUNS
        return supernet, scores, passes

    def workplace(self, title: str) -> Workplace:
        """Where a search may train."""
        return Workplace(self.data.without_test(), self.seed, self.runtime(title))


def accuracy(model: nn.Module, split: Split) -> float:
    """Top-1, in [0, 1]."""
    return evaluate(model, split, Classification()).metrics["accuracy"]


def method_title(method: Method) -> str:
    importance = method.importance or {}
    return "-".join(
        str(part) for part in (method.space, method.strategy, importance.get("use", ""), importance.get("where", ""))
    )


def _looked_at(importance: Mapping[str, Any], images: int) -> float:
    """Passes over the training images that a criterion takes without training; a forward pass is a third of one."""
    if importance["use"] == "taylor":
        return min(1.0, 1024 / images)
    if importance["use"] in ("ffn_votes", "patch_impact") or importance.get("method") == "aware_svd":
        seen: int = getattr(criterion_of(importance), "images")  # noqa: B009
        return min(1.0, seen / images) / 3
    return 0.0


def _criterion(method: Method) -> Importance:
    assert method.importance is not None
    return criterion_of(method.importance)


def search(bench: Bench, name: str, limit_percent: int) -> tuple[Supernet, Architecture, float, float]:
    """The supernet with the winner in it, the winner, passes over the training data, seconds of the search."""
    method = STUDIES[bench.name][name]
    start = time.perf_counter()
    supernet, scores, passes = bench.prepared(method)
    limit = Limit(supernet.cost, macs=f"{limit_percent}%")
    if method.like:
        sizes = bench.winners[method.like, limit_percent]
        return supernet, _levelled(supernet, sizes) if method.level else sizes, passes, time.perf_counter() - start
    options = dict(method.options)
    strategy = find(method.strategy)(**options)
    holder = {"supernet": supernet}
    evaluator = Evaluator(supernet.eval(), bench.data.validation, bench.data.task)
    problem = Problem(
        space=supernet.space,
        objectives=(Objective("accuracy", maximise=True),),
        strategy=name,
        seed=bench.seed,
        trials=strategy.trials,
        limit=limit,
    )
    live = Search(
        problem=problem,
        measure=lambda architecture: evaluator(architecture).metrics,
        counts=supernet.cost.counts,
        record=lambda _: None,
        supernet=supernet,
        work=bench.workplace(f"{name}-{limit_percent}".replace(", ", "-").replace(" ", "-")),
        adopt=lambda adopted, _: holder.update(supernet=adopted),
    )
    if isinstance(strategy, Sizing) and not method.trained:
        return supernet, strategy.choose(problem, scores), passes, time.perf_counter() - start
    found = winner(list(strategy.search(live)), problem.objectives, limit).architecture
    if method.strategy == "dan":
        passes += 2 * SEARCH.epochs
    if method.strategy == "tolerance":
        passes = float("nan")  # epochs of single blocks on cached inputs are no passes of the whole
    # A forward pass over the validation images is counted as a third of a training pass over as many images.
    measured = sum(not trial.cached for trial in live.history) if strategy.trials > 1 else 0
    passes += measured * len(bench.data.validation) / len(bench.data.train) / 3
    return holder["supernet"], found, passes, time.perf_counter() - start


def _levelled(supernet: Supernet, sizes: Architecture) -> Architecture:
    """One value for all choices but the last, with MACs as near as can be to those of `sizes`."""
    *earlier, _ = supernet.space.values()
    levels = [Architecture({**sizes, **{choice.name: value for choice in earlier}}) for value in earlier[0].values]
    wanted = supernet.cost.counts(sizes)["macs"]
    return min(levels, key=lambda level: abs(supernet.cost.counts(level)["macs"] - wanted))


def row_of(bench: Bench, name: str, limit_percent: int) -> dict[str, Any]:
    supernet, architecture, passes, seconds = search(bench, name, limit_percent)
    before = accuracy(supernet.extract(architecture), bench.data.test)
    module = Gradual(supernet, architecture) if STUDIES[bench.name][name].gradual else supernet
    step = AdjoinedStep(architecture, supernet.space.largest, small_ce=True)
    fit(FitCall(module, step, bench.data, RETRAIN, bench.seed), Runtime(progress=False))
    small = module.extract(architecture).eval()
    base = bench.base().eval()
    images = next(bench.data.test.batches(64)).inputs
    with torch.inference_mode():
        speed = ratio(lambda: base(images), lambda: small(images), 15)["ratio"]
    cost, counts = supernet.cost, supernet.cost.counts(architecture)
    return {
        "method": name,
        "limit": limit_percent,
        "test_accuracy": accuracy(small, bench.data.test),
        "before_retraining": before,
        "validation_accuracy": accuracy(small, bench.data.validation),
        "macs": counts["macs"],
        "macs_share": counts["macs"] / cost.base("macs"),
        "params_share": counts["params"] / cost.base("params"),
        "speedup_batch_64": speed,
        "search_passes": round(passes, 2),
        "search_seconds": round(seconds, 1),
        "architecture": str(architecture),
    }


def base_rows(bench: Bench) -> Iterator[dict[str, Any]]:
    """The base, and the base trained for as long again as a winner is retrained: what the small ones compete with."""
    model = bench.base()
    common = {"limit": 100, "macs_share": 1.0, "params_share": 1.0, "speedup_batch_64": 1.0, "search_passes": 0.0}
    yield {"method": "base", "test_accuracy": accuracy(model, bench.data.test), **common}
    fit(FitCall(model, PlainStep(), bench.data, RETRAIN, bench.seed), Runtime(progress=False))
    yield {"method": "base, longer", "test_accuracy": accuracy(model, bench.data.test), **common}


def cells(bench: Bench, methods: Sequence[str], done: set[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    if (bench.seed, "base, longer", 100) not in done:
        yield from base_rows(bench)
    for name in methods:
        for limit in STUDIES[bench.name][name].limits:
            if (bench.seed, name, limit) not in done:
                yield row_of(bench, name, limit)


def run(name: str, path: Path, seeds: Sequence[int], methods: Sequence[str]) -> pd.DataFrame:
    file = RESULTS / f"methods-{name}.csv"
    rows: list[dict[str, Any]] = pd.read_csv(file).to_dict("records") if file.exists() else []
    for seed in seeds:
        spec = DataSpec(path=str(path), image_size=16, train_images=3000)
        bench = Bench(
            name, seed, load_data(spec, image_size=16, seed=seed), Path("runs") / "methods" / f"{name}-{seed}"
        )
        done = {(row["seed"], row["method"], row["limit"]) for row in rows}
        known = [row for row in rows if row["seed"] == seed and isinstance(row.get("architecture"), str)]
        bench.winners = {(r["method"], r["limit"]): Architecture.from_json(r["architecture"]) for r in known}
        for found in cells(bench, methods, done):
            if "architecture" in found:
                bench.winners[found["method"], found["limit"]] = Architecture.from_json(found["architecture"])
            rows.append({"model": name, "seed": seed, **found, "commit": commit()})
            pd.DataFrame(rows).to_csv(file, index=False)
            print(name, seed, found["method"], found["limit"], f"{found['test_accuracy']:.4f}", flush=True)
    table = pd.DataFrame(rows)
    summary(table).to_csv(RESULTS / f"methods-{name}_summary.csv")
    return table


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds, their number, and the commits."""
    columns = ["test_accuracy", "before_retraining", "macs_share", "params_share", "speedup_batch_64", "search_passes"]
    return over_seeds(table, ["model", "method", "limit"], columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="Fashion-MNIST as .npz in the MedMNIST layout")
    parser.add_argument("--model", choices=tuple(ARGS), action="append")
    parser.add_argument("--method", action="append")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.model or ARGS:
        run(name, arguments.data, range(arguments.seeds), arguments.method or tuple(STUDIES[name]))


if __name__ == "__main__":
    main()
