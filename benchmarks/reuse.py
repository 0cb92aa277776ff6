"""What shared activations save: time per candidate with and without, for children of an evolution, for uniform draws,
and for uniform draws measured in an order that puts those side by side that begin alike.

A small ViT on as many images as the digits' validation split has, and DeiT-Ti on some images at 224 pixels. `saved` is
the share of steps (stem, blocks, head; a batch each) that were not run. Both sides measure the same candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from benchmarks.models import FOLDER, supernet
from benchmarks.pairs import ratio
from nas.data import HeldSplit
from nas.evaluation import Evaluator
from nas.preprocessing import Preprocessing
from nas.search import Objective, Problem, Search
from nas.searchspaces import Architecture, Limit, SearchSpace
from nas.strategies.evolution import Evolution
from nas.supernets import Supernet, build
from nas.tasks.classification import Classification

PAIRS = 3
CANDIDATES = {"small ViT": 200, "DeiT-Ti": 20}
IMAGES = {"small ViT": (216, 8, 1), "DeiT-Ti": (8, 224, 3)}
"""Number, side, channels."""


def measure() -> Iterator[dict[str, object]]:
    for name, (count, side, channels) in IMAGES.items():
        net = _net(name)
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8, generator=generator)
        split = HeldSplit(
            images, torch.arange(count) % 10, Preprocessing(mean=(0.5,) * channels, std=(0.25,) * channels)
        )
        uniform = _uniform(net, CANDIDATES[name])
        for what, candidates in {
            "evolution's candidates": _evolved(net, CANDIDATES[name]),
            "uniform draws": uniform,
            "uniform draws, sorted": sorted(uniform, key=lambda a: repr(_keys(net, a))),
        }.items():
            found = ratio(_run(net, split, candidates), _run(net, split, candidates, reuse=0), PAIRS)
            evaluator = Evaluator(net, split, Classification())
            for candidate in candidates:
                evaluator(candidate)
            prefixes = evaluator.prefixes
            saved = prefixes.saved / (prefixes.saved + prefixes.ran)
            yield {
                "what": f"{name}, {count} images, {what}",
                "unit": "with / without",
                **found,
                "saved": round(saved, 3),
            }


def _net(name: str) -> Supernet:
    if name != "small ViT":
        return supernet(name).eval()
    torch.manual_seed(0)
    space = SearchSpace.from_yaml(FOLDER / "vit_digits.yaml")
    return Supernet(build(space.model, space.model_args), space).eval()


def _run(net: Supernet, split: HeldSplit, candidates: Sequence[Architecture], **options: int) -> Callable[[], object]:
    """Every run begins with no activations, as a search does."""

    def run() -> object:
        evaluator = Evaluator(net, split, Classification(), **options)
        return [evaluator(candidate) for candidate in candidates]

    return run


def _uniform(net: Supernet, count: int) -> list[Architecture]:
    limit, rng = Limit(net.cost, macs="50%"), np.random.default_rng(0)
    return net.space.from_table(net.space.sample_table(rng, count, limit))


def _evolved(net: Supernet, count: int) -> list[Architecture]:
    """An evolution whose accuracy is made up: a fixed random number for each value, added up."""
    worth = [np.random.default_rng(n).random(len(choice.values)) for n, choice in enumerate(net.space.values())]

    def accuracy(architecture: Architecture) -> dict[str, float]:
        row = net.space.to_table([architecture])[0]
        return {"accuracy": sum(float(w[value]) for w, value in zip(worth, row, strict=True))}

    problem = Problem(
        space=net.space,
        objectives=(Objective("accuracy", maximise=True),),
        strategy="evolution",
        seed=0,
        trials=count,
        limit=Limit(net.cost, macs="50%"),
    )
    search = Search(problem=problem, measure=accuracy, counts=net.cost.counts, record=lambda _: None)
    trials = Evolution(population=count // 4, sample=count // 20 + 1).search(search)
    return [trial.architecture for trial in trials if not trial.cached]


def _keys(net: Supernet, architecture: Architecture) -> list[object]:
    return [key for key, _ in net.steps(net.subnet(architecture), architecture)]
