"""What `benchmarks.methods` compares: for each subject a base model, its data and recipes, and the methods tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nas.strategies.tolerance.tuning import Tuning
from nas.supernets.decompositions import METHODS as METHODS_OF_FACTORING
from nas.training import Recipe

LIMITS = (80, 60, 40)
"""Per cent of the base model's MACs: 20, 40, 60 % fewer."""
SANDWICH_RUNS = 4
"""Sub-networks that the sandwich rule trains per step."""
BASE = Recipe(epochs=20, lr=2e-3, batch=64, warmup=2)
SEARCH = Recipe(epochs=6, lr=1e-3, batch=64, warmup=1)
GPU_SEARCH = Recipe(epochs=3, lr=1e-3, batch=512, warmup=0.5, augment="crop+flip")
CIFAR_SEARCH = Recipe(epochs=2, lr=1e-3, batch=128, warmup=0.5, augment="crop+flip")

EIGHTHS = {"size": {"from": 0.125, "to": 1.0, "step": 0.125}, "per": "block"}
SIXTEENTHS = {"size": {"from": 0.125, "to": 1.0, "step": 0.0625}, "per": "block"}
SPACES: Mapping[str, dict[str, Any]] = {
    "widths": {"heads": {"size": [0.25, 0.5, 0.75, 1.0], "per": "block"}, "mlp": EIGHTHS},
    "dimensions": {"head_dim": {"size": {"from": 2, "to": 16, "step": 2}, "per": "block"}, "mlp": EIGHTHS},
    "inputs": dict.fromkeys(("qkv_in", "proj_in", "fc1_in", "mlp"), EIGHTHS),
    "dropped": {"queries": {"keep": {"from": 1, "to": 65, "step": 4}, "drop": True}},
    "carried": {"queries": {"keep": {"from": 1, "to": 65, "step": 4}}},
    "networks": {"fc1_in": SIXTEENTHS, "mlp": SIXTEENTHS},
    "inputs and ranks": {
        **dict.fromkeys(("qkv_in", "fc1_in", "mlp"), EIGHTHS),
        "rank": {"rank": {"from": 0.125, "to": 1.0, "step": 0.125}, "of": ["qkv", "proj"], "per": "block"},
    },
    "factor": {"alpha": {"divide": ["heads", "mlp"], "by": [1, 2, 4]}},
    "ranks": {"rank": {"rank": {"from": 2, "to": 64, "step": 2}, "of": ["qkv", "proj", "fc1", "fc2"]}},
}


@dataclass(frozen=True)
class Method:
    """How a winner is found. `sizing` needs an `importance`; black-box strategies need a supernet that is trained.
    Without `limits`, those of the subject.

    `like` names a method whose winner's sizes are taken, for units in another order; `level` levels them first: the
    same in all blocks but the last, at the nearest MACs.
    """

    space: str
    strategy: str = "threshold"
    options: Mapping[str, Any] = field(default_factory=dict)
    importance: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    trained: bool = False
    gradual: bool = False
    limits: Sequence[int] = ()
    like: str | None = None
    level: bool = False


def _gates(where: str, training: Recipe = SEARCH) -> dict[str, Any]:
    keys = ("epochs", "lr", "batch", "warmup", "augment")
    return {"use": "l1_gates", "where": where, "training": {key: getattr(training, key) for key in keys}}


METHODS: Mapping[str, Method] = {
    "uniform": Method("widths", "uniform", {"trials": 100}, trained=True),
    "evolution": Method("widths", "evolution", {"trials": 100, "population": 25, "sample": 5}, trained=True),
    "taylor, evolution": Method("widths", "evolution", {"trials": 100, "population": 25, "sample": 5},
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
    options = {"tolerance": 0.005, "grow": 4, "training": Tuning(epochs=3, lr=3e-4, batch=64, warmup=0)}
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


def _cifar_methods(training: Recipe) -> Mapping[str, Method]:
    """`training` is that of what learns in a search: gates, distributions over architectures."""
    return {
        "an": Method("factor", "an"),
        # Feed-forward networks are under half of this model: cutting them alone does not reach 50 %.
        "mcf": Method("networks", "threshold", ALIKE, {"use": "ffn_votes"}, limits=(75,)),
        "sidt": Method("dimensions", "threshold", {}, _gates("produced", training)),
        "vtp, svd": Method("inputs and ranks", "threshold", {"ranking": "global_per_kind"},
                           [_gates("consumed", training), {"use": "directions", "method": "svd"}]),
        "patch slimming": Method("dropped", "tolerance", {
            "tolerance": 0.005, "grow": 4, "importance": {"use": "patch_impact", "images": 512},
            "training": Tuning(epochs=3, lr=3e-4, batch=64, warmup=0)}),
        "uniform": Method("widths", "uniform", {"trials": 60}, trained=True),
        "evolution": Method("widths", "evolution", {"trials": 60, "population": 20, "sample": 5}, trained=True),
        "dan": Method("widths", "dan", {"training": training, "target": "limit", "arch_lr": 2e-2, "small_ce": True}),
    }  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """A base model, its data, and what is tried on it.

    model, args   by which timm makes it; channels and classes are those of the data
    image_size    pixels
    train_images  of the training split; None = all
    methods       what is compared
    limits        per cent of the base's MACs, where a method names none
    base, search, retrain
                  recipes of the base, of supernets, and of every winner
    adjoined      whether a winner is retrained together with the largest network
    one_base      whether all seeds start from the base of seed 0: where training it takes hours
    """

    model: str
    args: Mapping[str, Any]
    methods: Mapping[str, Method]
    image_size: int = 16
    train_images: int | None = 3000
    limits: Sequence[int] = LIMITS
    base: Recipe = BASE
    search: Recipe = SEARCH
    retrain: Recipe = SEARCH
    adjoined: bool = True
    one_base: bool = False

    def seed_of_base(self, seed: int) -> int:
        """The seed of the base that `seed` starts from, and of the splits that it was trained on."""
        return 0 if self.one_base else seed

    def limits_of(self, method: str) -> Sequence[int]:
        """Per cent of the base's MACs."""
        return self.methods[method].limits or self.limits


SMALL = {"img_size": 16, "embed_dim": 64, "depth": 4, "num_heads": 4, "patch_size": 4}
POOLED = {"class_token": False, "global_pool": "avg"}
WINDOWS = {
    "img_size": 16, "patch_size": 2, "window_size": 4, "embed_dim": 32, "depths": [2, 2], "num_heads": [2, 4],
}  # fmt: skip
CONVOLUTIONS = {
    "img_size": 32, "embed_dim": 128, "depth": 4, "num_heads": 8, "mlp_ratio": 2.0,
    "stem_channels": [32, 64, 96], "stem_strides": [1, 2, 2],
}  # fmt: skip
WIDER = CONVOLUTIONS | {"embed_dim": 256, "depth": 6, "num_heads": 16, "stem_channels": [64, 128, 192]}


def _cifar(epochs: int) -> Subject:
    """Pictures of 32 x 32, of which 15 % of the training split are kept for the search."""
    learning = {"batch": 128, "augment": "crop+flip", "smoothing": 0.1}
    return Subject(
        "vit_c_1gf", CONVOLUTIONS, _cifar_methods(CIFAR_SEARCH), image_size=32, train_images=None, limits=(50,),
        base=Recipe(epochs=epochs, lr=2e-3, warmup=1, ema=0.998, **learning),
        search=CIFAR_SEARCH, retrain=Recipe(epochs=3, lr=1e-3, warmup=0.5, **learning),
        adjoined=False, one_base=True,
    )  # fmt: skip


def _wide() -> Subject:
    """The same question where a GPU is at hand: twelve times the MACs, and epochs that take seconds."""
    learning = {"batch": 512, "augment": "crop+flip", "smoothing": 0.1}
    return Subject(
        "vit_c_1gf", WIDER, _cifar_methods(GPU_SEARCH), image_size=32, train_images=None, limits=(50,),
        base=Recipe(epochs=80, lr=2e-3, warmup=5, ema=0.999, mixup=0.2, cutmix=1.0, drop_path=0.1, **learning),
        search=GPU_SEARCH, retrain=Recipe(epochs=6, lr=1e-3, warmup=0.5, **learning),
        adjoined=False, one_base=True,
    )  # fmt: skip


SUBJECTS: Mapping[str, Subject] = {
    "vit": Subject("vit_tiny_patch16_224", SMALL | POOLED, METHODS),
    "swin": Subject("swin_tiny_patch4_window7_224", WINDOWS, METHODS),
    "vit_tokens": Subject("vit_tiny_patch16_224", SMALL | {"patch_size": 2}, TOKENS),
    "vit_matrices": Subject("vit_tiny_patch16_224", SMALL, MATRICES),
    "cifar10": _cifar(30),
    "cifar100": _cifar(30),
    "cifar10_wide": _wide(),
    "cifar100_wide": _wide(),
}
