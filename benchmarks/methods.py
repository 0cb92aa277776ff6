"""Every method of the toolkit on one base model, under limits: the subjects are in `benchmarks.method_subjects`.

    python -m benchmarks.methods fashion_mnist.npz --model vit --model swin --seeds 3
    python -m benchmarks.methods cifar10.npz --model cifar10 --seeds 3      # hours; continues where it was killed
    python -m benchmarks.methods cifar10.npz --model cifar10_wide --device cuda --seed 1 --to runs/seed-1

`vit_tokens` and `vit_matrices` are one ViT with a class token, for the methods on tokens (Patch Slimming) and on inputs
and ranks of matrices (MCF, decompositions).

All start from the same trained base, and all winners are retrained by the same recipe. What differs is how they are
found. One row per (model, seed, method, limit) is appended to `studies/results/methods-MODEL.csv`
when it is known; rows that are there are not computed again. The summary over seeds is written at the end. Seeds may be
computed side by side, each `--to` a folder of its own, once `--base` has trained what they start from.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from benchmarks.method_subjects import SANDWICH_RUNS, SPACES, SUBJECTS, Method, Subject
from benchmarks.pairs import ratio
from benchmarks.tables import RESULTS, over_seeds
from nas.data import Data, DataSpec, Split, load_data
from nas.evaluation import Evaluator, Watch, evaluate
from nas.search import Objective, Problem, Search, find, winner
from nas.search.sizing import Sizing, criterion_of
from nas.searchspaces import Architecture, Limit, SearchSpace
from nas.supernets import Supernet, build
from nas.system.environment import commit
from nas.tasks.classification import Classification
from nas.training import AdjoinedStep, FitCall, PlainStep, Runtime, fit
from nas.training.objectives.gradual import Gradual
from nas.training.rules.sandwich import Sandwich
from nas.training.workplace import Workplace


@dataclass
class Bench:
    """One base model of one seed, and what several methods share: importances that were trained, supernets."""

    name: str
    seed: int
    data: Data
    folder: Path
    device: str = "cpu"
    supernets: dict[Any, Any] = field(default_factory=dict)
    winners: dict[tuple[str, int], Architecture] = field(default_factory=dict)
    """Of (method, limit), as far as they are known."""

    @property
    def subject(self) -> Subject:
        """What is compared."""
        return SUBJECTS[self.name]

    def runtime(self, title: str) -> Runtime:
        """A training that continues where it was killed."""
        checkpoint = self.folder / f"{title}.safetensors"
        return Runtime(device=self.device, checkpoint=checkpoint, title=title, progress=False)

    def space(self, name: str) -> SearchSpace:
        """One of SPACES on this model."""
        args = {**self.subject.args, "in_chans": self.data.channels, "num_classes": self.data.classes}
        text = json.dumps({"model": self.subject.model, "model_args": args, "choices": SPACES[name]})
        return SearchSpace.from_yaml(text)

    def base(self) -> nn.Module:
        """The trained base model, a fresh copy."""
        space = self.space(next(iter(self.subject.methods.values())).space)
        seed = self.subject.seed_of_base(self.seed)
        torch.manual_seed(seed)
        model = build(space.model, space.model_args)
        runtime = replace(
            self.runtime("base"),
            checkpoint=folder_of(self.name, seed) / "base.safetensors",
            evaluate=Watch(self.data.validation, self.data.task),
            on_epoch=lambda epoch: print(self.name, "base", epoch, flush=True),
        )
        history = fit(FitCall(model, PlainStep(), self.data, self.subject.base, seed), runtime)
        pd.DataFrame(history.rows()).to_csv(runtime.checkpoint.with_suffix(".csv"), index=False)
        return model

    def prepared(self, method: Method) -> tuple[Supernet, Mapping[str, Any], float]:
        """A supernet in order of the method's importance, its sorted scores, and the passes over the data it took."""
        key = (method.space, repr(method.importance), method.trained)
        if key not in self.supernets:
            self.supernets[key] = self._prepare(method)
        supernet, scores, passes = self.supernets[key]
        return copy.deepcopy(supernet), scores, passes

    def _prepare(self, method: Method) -> tuple[Supernet, Mapping[str, Any], float]:
        supernet = Supernet(self.base(), self.space(method.space)).to(self.device)
        scores: Mapping[str, Any] = {}
        passes = 0.0
        for options in criteria(method):
            ranked = criterion_of(options).apply(supernet, self.workplace(title(method, options)))
            scores, passes = {**scores, **ranked.scores}, passes + len(ranked.history)
            passes += _looked_at(options, len(self.data.train))
        if method.trained:
            step = Sandwich().step(supernet.space)
            call = FitCall(supernet, step, self.data, self.subject.search, self.seed)
            fit(call, self.runtime(f"sandwich-{method.importance is None}"))
            passes += self.subject.search.epochs * SANDWICH_RUNS
        return supernet, scores, passes

    def workplace(self, title: str) -> Workplace:
        """Where a search may train."""
        return Workplace(self.data.without_test(), self.seed, self.runtime(title))


def accuracy(model: nn.Module, split: Split) -> float:
    """Top-1, in [0, 1]."""
    return evaluate(model, split, Classification(), device=next(model.parameters()).device).metrics["accuracy"]


def criteria(method: Method) -> Sequence[Mapping[str, Any]]:
    """The importance criteria of a method, one after the other."""
    options = method.importance or ()
    return [options] if isinstance(options, Mapping) else options


def title(method: Method, options: Mapping[str, Any]) -> str:
    """Of the training that a criterion does."""
    return "-".join((method.space, method.strategy, options["use"], options.get("where", "")))


def folder_of(name: str, seed: int) -> Path:
    """Where the trainings of a subject and a seed lie."""
    return Path("runs") / "methods" / f"{name}-{seed}"


def _looked_at(importance: Mapping[str, Any], images: int) -> float:
    """Passes over the training images that a criterion takes without training; a forward pass is a third of one."""
    if importance["use"] == "taylor":
        return min(1.0, 1024 / images)
    if importance["use"] in ("ffn_votes", "patch_impact") or importance.get("method") == "aware_svd":
        seen: int = getattr(criterion_of(importance), "images")  # noqa: B009
        return min(1.0, seen / images) / 3
    return 0.0


def search(bench: Bench, name: str, limit_percent: int) -> tuple[Supernet, Architecture, float, float]:
    """The supernet with the winner in it, the winner, passes over the training data, seconds of the search."""
    method = bench.subject.methods[name]
    start = time.perf_counter()
    supernet, scores, passes = bench.prepared(method)
    limit = Limit(supernet.cost, macs=f"{limit_percent}%")
    if method.like:
        sizes = bench.winners[method.like, limit_percent]
        return supernet, _levelled(supernet, sizes) if method.level else sizes, passes, time.perf_counter() - start
    options = dict(method.options)
    strategy = find(method.strategy)(**options)
    holder = {"supernet": supernet}
    evaluator = Evaluator(supernet.eval(), bench.data.validation, bench.data.task, device=bench.device)
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
        passes += 2 * bench.subject.search.epochs
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
    module = Gradual(supernet, architecture) if bench.subject.methods[name].gradual else supernet
    small = retrained(bench, name, module, architecture)
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
        "speedup_batch_64": speedup(bench, small),
        "search_passes": round(passes, 2),
        "search_seconds": round(seconds, 1),
        "architecture": str(architecture),
    }


def speedup(bench: Bench, small: nn.Module) -> float:
    """Of a forward pass of 64 images over that of the base; not measured on a GPU, which other seeds may share."""
    if bench.device != "cpu":
        return float("nan")
    base, images = bench.base().eval(), next(bench.data.test.batches(64)).inputs
    with torch.inference_mode():
        return ratio(lambda: base(images), lambda: small(images), 15)["ratio"]


def retrained(bench: Bench, name: str, module: Supernet | Gradual, architecture: Architecture) -> nn.Module:
    """The winner, retrained by the subject's recipe."""
    recipe = bench.subject.retrain
    if bench.subject.adjoined:
        step = AdjoinedStep(architecture, module.space.largest, small_ce=True)
        fit(FitCall(module, step, bench.data, recipe, bench.seed), Runtime(device=bench.device, progress=False))
        return module.extract(architecture).eval()
    small = module.extract(architecture)
    runtime = bench.runtime(f"{name}-retrained".replace(", ", "-").replace(" ", "-"))
    fit(FitCall(small, PlainStep(), bench.data, recipe, bench.seed), runtime)
    return small.eval()


def base_rows(bench: Bench) -> Iterator[dict[str, Any]]:
    """The base, and the base trained for as long again as a winner is retrained: what the small ones compete with."""
    model = bench.base()
    common = {"limit": 100, "macs_share": 1.0, "params_share": 1.0, "speedup_batch_64": 1.0, "search_passes": 0.0}
    yield {"method": "base", "test_accuracy": accuracy(model, bench.data.test), **common}
    fit(FitCall(model, PlainStep(), bench.data, bench.subject.retrain, bench.seed), bench.runtime("longer"))
    yield {"method": "base, longer", "test_accuracy": accuracy(model, bench.data.test), **common}


def cells(bench: Bench, methods: Sequence[str], done: set[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    if (bench.seed, "base, longer", 100) not in done:
        yield from base_rows(bench)
    for name in methods:
        for limit in bench.subject.limits_of(name):
            if (bench.seed, name, limit) not in done:
                yield row_of(bench, name, limit)


def bench_of(name: str, path: Path, seed: int, device: str) -> Bench:
    """A subject with its data; where seeds share a base, they share what it was trained on."""
    subject = SUBJECTS[name]
    spec = DataSpec(path=str(path), image_size=subject.image_size, train_images=subject.train_images)
    data = load_data(spec, image_size=subject.image_size, seed=subject.seed_of_base(seed))
    return Bench(name, seed, data, folder_of(name, seed), device)


def run(name: str, seeds: Sequence[int], options: argparse.Namespace) -> None:
    """Computes what is missing of the table of a subject."""
    file: Path = options.to / f"methods-{name}.csv"
    rows: list[dict[str, Any]] = pd.read_csv(file).to_dict("records") if file.exists() else []
    for seed in seeds:
        bench = bench_of(name, options.data, seed, options.device)
        done = {(row["seed"], row["method"], row["limit"]) for row in rows}
        known = [row for row in rows if row["seed"] == seed and isinstance(row.get("architecture"), str)]
        bench.winners = {(r["method"], r["limit"]): Architecture.from_json(r["architecture"]) for r in known}
        methods = () if options.base else options.method or tuple(bench.subject.methods)
        for found in cells(bench, methods, done):
            if "architecture" in found:
                bench.winners[found["method"], found["limit"]] = Architecture.from_json(found["architecture"])
            rows.append({"model": name, "seed": seed, **found, "device": options.device, "commit": commit()})
            pd.DataFrame(rows).to_csv(file, index=False)
            print(name, seed, found["method"], found["limit"], f"{found['test_accuracy']:.4f}", flush=True)
    summary(pd.DataFrame(rows)).to_csv(options.to / f"methods-{name}_summary.csv")


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds, their number, and the commits."""
    columns = ["test_accuracy", "before_retraining", "macs_share", "params_share", "speedup_batch_64", "search_passes"]
    return over_seeds(table, ["model", "method", "limit"], [column for column in columns if column in table])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="the images as .npz in the MedMNIST layout")
    parser.add_argument("--model", choices=tuple(SUBJECTS), action="append")
    parser.add_argument("--method", action="append")
    parser.add_argument("--base", action="store_true", help="only the base, and the base trained longer")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--to", type=Path, default=RESULTS, metavar="FOLDER", help="where the table lies")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1 if options.device == "cpu" else 4)  # beside a GPU, they crop and mirror
    for name in options.model or SUBJECTS:
        run(name, range(options.seeds) if options.seed is None else [options.seed], options)


if __name__ == "__main__":
    main()
