"""Recipes for training a supernet at equal processor time: which of them ranks best, and what it leaves of the largest.

    python -m benchmarks.recipes digits [--seeds 3] [--recipe sandwich] [--truth FOLDER]
    python -m benchmarks.recipes fashion_mnist --data fashion_mnist.npz
    python -m benchmarks.recipes digits --winners

A seed has one base model and one truth (`nas tau`: 16 architectures, each retrained plainly for 10 epochs with three
seeds), both from a run of the committed study; every recipe starts from that base and is held against that truth. What
an optimiser step of a recipe costs is measured against one of the sandwich, in turn, and its epochs are as many as take
the processor as long as the study's own epochs of the sandwich.

The truth is retrained from the weights that the sandwich left, which may favour it. `largest_least` is the lowest
accuracy that the largest had after any epoch. With `--winners`, the best of 60 random architectures within the limit,
the same for all recipes, is retrained from each recipe's weights as the truth was, and measured on the test split.

A row is kept when it is done, and not made again; runs lie in `runs/recipes`.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.few_shot import FewShot
from benchmarks.tables import RESULTS, Rows, over_seeds
from nas import Study
from nas.data import Data, load_data
from nas.documents.plugged import plugin_of
from nas.evaluation import Evaluator, evaluate
from nas.searchspaces import Architecture
from nas.studies.file.config import RULE
from nas.studies.file.resolve import Resolved, resolve
from nas.studies.run.folder import RunFolder
from nas.studies.run.rank_truth import RankTruth, found_in
from nas.studies.run.results import SMALLEST, SUPERNET
from nas.studies.run.weights import WEIGHTS, load_weights
from nas.studies.tau.noise import Repeated
from nas.studies.tau.statistics import IN_BANDS, TAU, Rankings, tau_b
from nas.supernets import Supernet, build
from nas.system.environment import commit
from nas.training import FitCall, PlainStep, Recipe, Runtime, Step, StepContext, Workplace, fit
from nas.training.objectives.taught import TaughtStep, Teacher

ROOT = Path(__file__).parents[1]
RUNS = Path("runs") / "recipes"
ARCHITECTURES, SEEDS, EPOCHS = 16, 3, 10
"""Of a truth."""
DRAWS = 60
"""Architectures among which a winner is looked for."""
PAIRS, STEPS = 3, 5
"""How often costs of steps are compared, and over how many."""
SPLIT_BY = "heads.0"
"""The choice whose values have weights of their own where weights are split."""
SANDWICH: Mapping[str, Any] = {"use": "sandwich"}
STANDARD = "sandwich"
KEYS = ("study", "recipe", "seed")
TRAINED = Rows(RESULTS / "recipes.csv", KEYS)
WINNERS = Rows(RESULTS / "recipes_winners.csv", KEYS)


@dataclass(frozen=True)
class Entry:
    """A rule, changes of the study's recipe, the weight of the base model as a teacher, and the groups into which
    weights are split, see `benchmarks.few_shot`.
    """

    rule: Mapping[str, Any]
    changes: Mapping[str, Any] | None = None
    teacher: float = 0.0
    groups: int = 1


RECIPES: Mapping[str, Entry] = {
    STANDARD: Entry(SANDWICH),
    "half_targets": Entry({**SANDWICH, "targets": 0.5}),
    "targets": Entry({**SANDWICH, "targets": 1.0}),
    "taught": Entry({**SANDWICH, "targets": 1.0}, teacher=1.0),
    "uniform": Entry({"use": "uniform"}),
    "inplace": Entry({"use": "inplace"}),
    "projected": Entry({**SANDWICH, "gradients": "projected"}),
    "sized": Entry({**SANDWICH, "sampling": "sized"}),
    "fair": Entry({**SANDWICH, "sampling": "fair"}),
    "opening": Entry({**SANDWICH, "opening": 0.5}),
    "kept": Entry(SANDWICH, teacher=0.5),
    "drop_path": Entry(SANDWICH, {"drop_path": 0.1}),
    "slow": Entry(SANDWICH, {"lr": 1e-3}),
    "fairnas": Entry({"use": "uniform", "random": 4, "sampling": "fair"}),
    "inplace_targets": Entry({"use": "inplace", "targets": 0.5}),
    "few_shot_2": Entry(SANDWICH, groups=2),
    "few_shot_4": Entry(SANDWICH, groups=4),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("study", choices=("digits", "fashion_mnist"))
    parser.add_argument("--data", type=Path, help="of a study that names a file")
    parser.add_argument("--truth", type=Path, default=RUNS, help="where runs STUDY-SEED lie, or are to lie")
    parser.add_argument("--recipe", action="append", choices=list(RECIPES), help="some only (default: all)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--winners", action="store_true", help="retrain the winners of recipes that are done")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, work = (WINNERS, Bench.winner) if arguments.winners else (TRAINED, Bench.row)
    for seed in range(arguments.seeds):
        bench = Bench(arguments.study, seed, arguments.truth, arguments.data)
        for name in arguments.recipe or RECIPES:
            keys = {"study": arguments.study, "recipe": name, "seed": seed}
            if not rows.has(**keys):
                row = {**keys, **work(bench, name), "commit": commit()}
                rows.append(row)
                print({key: value for key, value in row.items() if key != "commit"}, flush=True)
    _summarise()


class Bench:
    """What all recipes of a seed share: base model, data, truth."""

    def __init__(self, study: str, seed: int, truths: Path, data: Path | None) -> None:
        self.study, self.seed, self.run = study, seed, truths / f"{study}-{seed}"
        self.overrides = [f"seed={seed}", "baseline=0", *([f"data.path={data}"] if data else [])]

    @cached_property
    def resolved(self) -> Resolved:
        """The committed study, of this seed."""
        return resolve(ROOT / "studies" / f"{self.study}.yaml", self.overrides)

    @cached_property
    def data(self) -> Data:
        """The images, split as in the study's run."""
        spec = self.resolved.config.data
        size = spec.image_size or self.resolved.space.model_args["img_size"]
        return load_data(spec, task=self.resolved.task, image_size=size, seed=self.seed)

    @cached_property
    def truth(self) -> RankTruth:
        """Of the study's own run, which is made where it is not there."""
        if not (answers := found_in(self.run)):
            study = Study.from_yaml(ROOT / "studies" / f"{self.study}.yaml", overrides=self.overrides, folder=self.run)
            study.run()
            study.tau(architectures=ARCHITECTURES, seeds=SEEDS, epochs=EPOCHS, loss="plain")
            answers = found_in(self.run)
        return answers[-1]

    @cached_property
    def base(self) -> torch.nn.Module:
        """The whole model, trained."""
        space = self.resolved.space
        _ = self.truth  # its run has trained the base model
        model = build(space.model, space.model_args)
        load_weights(self.run / "base" / WEIGHTS, model)
        return model.eval()

    def supernet(self, name: str) -> Supernet | FewShot:
        """As every recipe finds it: the base model, its units in order."""
        supernet = Supernet(copy.deepcopy(self.base), self.resolved.space)
        self.resolved.importance.apply(supernet, Workplace(self.data.without_test(), self.seed))
        groups = RECIPES[name].groups
        return supernet if groups == 1 else FewShot(supernet, SPLIT_BY, groups)

    def step(self, name: str) -> Step:
        """What a recipe minimises."""
        entry, resolved = RECIPES[name], self.resolved
        step: Step = plugin_of(entry.rule, RULE).step(resolved.space, None, resolved.cost)
        if not entry.teacher:
            return step
        teacher = Teacher(copy.deepcopy(self.base), self.data.image_size, self.data.preprocessing)
        return TaughtStep(step, teacher, weight=entry.teacher)

    def recipe(self, name: str) -> Recipe:
        """The study's, with a recipe's changes."""
        plain = self.resolved.config.supernet
        return replace(plain, rule=RECIPES[name].rule, **(RECIPES[name].changes or {}))

    def row(self, name: str) -> dict[str, Any]:
        """Trains by a recipe, and holds it against the truth. By the standard one, the truth's run has trained."""
        supernet, folder = self.supernet(name), RUNS / "weights"
        folder.mkdir(parents=True, exist_ok=True)
        if name == STANDARD and isinstance(supernet, Supernet):
            load_weights(self.run / SUPERNET.name / WEIGHTS, supernet.model)
            result = RunFolder(self.run).need(SUPERNET)
            metrics, about = [row.metrics for row in result.history], {"epochs": len(result.history), "step_cost": 1.0}
        else:
            metrics, about = self.train(name, supernet)
        save_file(supernet.state_dict(), self.weights(name))
        largest = [one["accuracy"] for one in metrics]
        ended = {"largest": largest[-1], "largest_least": min(largest), "smallest": metrics[-1][SMALLEST]}
        return {**self.agreement(supernet), **{key: round(value, 5) for key, value in ended.items()}, **about}

    def train(self, name: str, supernet: Supernet | FewShot) -> tuple[list[Mapping[str, float]], dict[str, Any]]:
        """What was measured after each epoch, and what it took."""
        cost, recipe = self.cost(name), self.recipe(name)
        recipe = replace(recipe, epochs=max(1, round(recipe.epochs / cost)))
        start = time.process_time()
        history = fit(
            FitCall(supernet, self.step(name), self.data, recipe, self.seed),
            Runtime(progress=False, evaluate=self.ends, refresh=lambda module: module.refresh()),  # type: ignore[operator]
        )
        seconds = time.process_time() - start
        about = {"epochs": recipe.epochs, "step_cost": round(cost, 3), "seconds": round(seconds, 1)}
        return [row.metrics for row in history], about

    def cost(self, name: str) -> float:
        """Processor time of a step, over that of the sandwich's."""
        ratios = [self._seconds(name) / self._seconds(STANDARD) for _ in range(PAIRS)]
        return float(np.median(ratios))

    def _seconds(self, name: str) -> float:
        supernet, step, recipe = self.supernet(name).train(), self.step(name), self.recipe(name)
        batches = list(self._batches(recipe))
        start = time.process_time()
        for number, batch in enumerate(batches):
            context = StepContext(supernet, self.resolved.task, 0.0, self.seed, 0, number, STEPS, 0.5)
            for part in step(batch, context):
                part.backward()
            supernet.zero_grad(set_to_none=True)
        return time.process_time() - start

    def _batches(self, recipe: Recipe) -> Iterator[Any]:
        for number, batch in enumerate(self.data.train.batches(recipe.batch, seed=self.seed)):
            if number == STEPS:
                return
            yield batch

    def ends(self, supernet: nn.Module) -> dict[str, float]:
        """Accuracy of the largest and of the smallest sub-network."""
        assert isinstance(supernet, Supernet | FewShot)
        measure, space = self.measure(supernet), supernet.space
        largest, smallest = (measure(end).metrics["accuracy"] for end in (space.largest, space.smallest))
        return {"accuracy": largest, SMALLEST: smallest}

    def measure(self, supernet: Supernet | FewShot) -> Evaluator:
        """What measures sub-networks."""
        return Evaluator(supernet, self.data.validation, self.resolved.task, reuse=0)  # type: ignore[arg-type]

    def agreement(self, supernet: Supernet | FewShot) -> dict[str, float]:
        """How well what a supernet says of the truth's architectures ranks them."""
        table = self.truth.table
        sample = self._members()
        measure = self.measure(supernet)
        found = [measure(sample[digest]).metrics for digest in table["digest"]]
        retrained = table[f"retrained_{self.truth.metric}"].to_numpy(np.float64)
        sizes = table["macs"].to_numpy(np.float64)
        scores = {
            TAU: np.array([one["accuracy"] for one in found]),
            "by_loss": -np.array([one["loss"] for one in found]),
        }
        rankings = Rankings(scores, sizes, Repeated(retrained[:, None]))
        close = rankings.close(np.arange(len(sizes)))
        values = {
            "tau": tau_b(scores[TAU], retrained),
            "tau_by_loss": tau_b(scores["by_loss"], retrained),
            "tau_in_bands": tau_b(scores[TAU], retrained, close),
            "tau_in_bands_by_loss": tau_b(scores["by_loss"], retrained, close),
            "tau_of_macs": tau_b(sizes, retrained),
            "mean_accuracy": float(scores[TAU].mean()),
        }
        for key, statistic in {"ceiling": TAU, "ceiling_in_bands": IN_BANDS}.items():
            row = self.truth.summary[self.truth.summary["statistic"] == statistic]
            values[key] = float(row["ceiling"].iloc[0])
        return {key: round(value, 5) for key, value in values.items()}

    def _members(self) -> dict[str, Architecture]:
        path = next((self.run / "tau" / "samples").glob("*.json"))
        members = [Architecture(one["architecture"]) for one in json.loads(path.read_text())["members"]]
        return {architecture.digest: architecture for architecture in members}

    def weights(self, name: str) -> Path:
        """Where what a recipe trained is kept."""
        return RUNS / "weights" / f"{self.study}-{self.seed}-{name}.safetensors"

    def winner(self, name: str) -> dict[str, Any]:
        """The best of some random architectures, retrained."""
        supernet, resolved = self.supernet(name), self.resolved
        supernet.load_state_dict(load_file(self.weights(name)))
        rows = resolved.space.sample_table(np.random.default_rng(self.seed), DRAWS, resolved.limit)
        measure = self.measure(supernet)
        found = {a: measure(a).metrics for a in dict.fromkeys(resolved.space.from_table(rows))}
        best = max(found, key=lambda a: (found[a]["accuracy"], -resolved.cost.counts(a)["macs"], a.digest))
        model = supernet.extract(best)
        recipe = replace(resolved.config.retrain, epochs=EPOCHS, loss="plain", small_ce=False)
        fit(FitCall(model, PlainStep(), self.data, recipe, self.seed), Runtime(progress=False))
        splits = {"validation": self.data.validation, "test": self.data.test}
        reached = {key: evaluate(model, split, resolved.task).metrics["accuracy"] for key, split in splits.items()}
        counts = resolved.cost.counts(best)
        return {
            "digest": best.digest,
            "macs": counts["macs"],
            "shared": round(found[best]["accuracy"], 5),
            **{key: round(value, 5) for key, value in reached.items()},
        }


def _summarise() -> None:
    """Mean and standard deviation over seeds of every recipe, with tau as a share of its ceiling."""
    table = TRAINED.frame
    table["tau_of_ceiling"] = table["tau"] / table["ceiling"]
    table["by_loss_of_ceiling"] = table["tau_by_loss"] / table["ceiling"]
    columns = [
        *("tau", "tau_of_ceiling", "by_loss_of_ceiling", "tau_in_bands", "tau_in_bands_by_loss", "tau_of_macs"),
        *("largest", "largest_least", "smallest", "mean_accuracy", "epochs", "seconds"),
    ]
    if WINNERS.path.exists():
        table = table.merge(WINNERS.frame[[*KEYS, "test"]], on=list(KEYS), how="left")
        columns.append("test")
    summary = over_seeds(table, ["study", "recipe"], columns)
    summary.to_csv(RESULTS / "recipes_summary.csv")
    print(summary.drop(columns="commit").round(3).to_string())


if __name__ == "__main__":
    main()
