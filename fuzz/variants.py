"""Valid studies that train in about a second: by chance, other choices, another strategy, other options."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

VIT = {"img_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2}
POOLED = {**VIT, "class_token": False, "global_pool": "avg"}
SWIN = {"img_size": 8, "patch_size": 1, "window_size": 4, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4]}
WIDTHS = {"heads": {"size": [1, 2]}, "mlp": {"size": {"from": 8, "to": 64, "step": 8}, "per": "block"}}
STUDY: dict[str, Any] = {
    "space": {"model": "vit_tiny_patch16_224", "model_args": POOLED, "choices": WIDTHS},
    "strategy": {"use": "evolution", "trials": 3, "population": 2, "sample": 1},
    "data": {"name": "digits", "train_images": 100},
    "limit": {"macs": "70%"},
    "base": {"epochs": 1},
    "supernet": {"epochs": 1},
    "retrain": {"epochs": 1},
    "baseline": 1,
    "latency": {"batches": [1], "seconds": 0.001},
    "threads": 1,
    "seed": 4,
    "name": "tiny",
}
"""A run of it takes about a second."""
UNTRAINED = {**STUDY, "base": {"epochs": 0}, "supernet": {"epochs": 0}, "retrain": {"epochs": 0}}

BLOCKS = {"heads": {"size": [0.5, 1.0], "per": "block"}, "mlp": {"size": [0.25, 0.5, 1.0], "per": "block"}}
RANKS = {"rank": {"rank": [0.25, 0.5, 1.0], "of": ["qkv", "proj"]}, "mlp": {"size": [0.5, 1.0]}}
INPUTS = {"inputs": {"size": [0.5, 1.0], "of": ["qkv_in", "fc1_in", "fc2_in"]}}
FFN = {"fc1_in": {"size": [0.5, 1.0]}, "mlp": {"size": [0.5, 1.0], "per": "block"}}
QUERIES = {"queries": {"keep": [0.25, 0.5, 1.0], "per": "block", "drop": True}}
ALPHA = {"alpha": {"divide": ["heads", "mlp"], "by": [1, 2]}}
EVERYWHERE = (
    *(WIDTHS, BLOCKS, RANKS, INPUTS, FFN, ALPHA),
    {"head_dim": {"size": [2, 4]}, "mlp": {"size": [0.25, 0.5, 1.0], "per": "model"}},
)
"""Choices that a Swin has as well."""
ON_VIT = (
    *(QUERIES, {"queries": {"keep": [0.4, 1.0], "per": "block"}, "mlp": {"size": [8, 64]}}),
    *({"depth": {"depth": [1, 2]}, **WIDTHS}, {"embed": {"size": [0.5, 1.0]}, **BLOCKS}),
    {"tokens": {"keep": [0.5, 1.0], "per": "block", "order": "never-grows"}},
)
SEARCHES = (
    *(STUDY["strategy"], {"use": "uniform", "trials": 4}),
    {"use": "evolution", "trials": 4, "population": 2, "sample": 2, "parents": "elite", "mutation": 0.5},
    {"use": "halving", "trials": 9, "round": 9, "rungs": 2, "searcher": {"use": "uniform"}},
    *({"use": "with_optuna", "sampler": sampler, "trials": 4, "startup": 2} for sampler in ("tpe", "gp")),
    *({"use": "with_optuna", "sampler": sampler, "trials": 4, "population": 2} for sampler in ("nsga2", "nsga3")),
)
"""Strategies that measure candidates: they go with all choices."""
METHODS: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"use": "an"}, ALPHA),
    ({"use": "threshold", "importance": "magnitude", "normalise": True}, BLOCKS),
    ({"use": "dan", "training": {"epochs": 1}, "target": "limit"}, BLOCKS),
    ({"use": "knapsack", "importance": {"use": "taylor", "images": 20, "batch": 7}}, BLOCKS),
    ({"use": "threshold", "ranking": "per_layer", "importance": {"use": "ffn_votes", "images": 20}}, FFN),
    ({"use": "threshold", "importance": {"use": "l1_gates", "where": "consumed", "training": {"epochs": 1}}}, INPUTS),
    ({"use": "threshold", "importance": {"use": "directions", "method": "qr_pivoted"}}, RANKS),
    ({"use": "tolerance", "grow": 1, "importance": {"use": "patch_impact", "images": 20}}, QUERIES),
)
"""Strategies of one trial, each with choices that it takes."""
OPTIONS: dict[str, tuple[Any, ...]] = {
    "limit": ({}, {"params": "80%"}, {"flops": ["30%", "90%"]}, {"macs": "60%", "params": "95%"}, {"macs": 20_000}),
    "objectives": (
        {"accuracy": "max", "macs": "min"},
        {"accuracy": "max", "params": "min", "flops": "min"},
        {"macs": "max"},
    ),
    "importance": ("magnitude", "taylor", "ffn_votes", {"use": "directions", "method": "aware_svd", "images": 9}),
    "base": ({"epochs": 0}, {"epochs": 2, "ema": 0.9, "batch": 1000}, {"epochs": 1, "augment": "crop+flip"}),
    "base.mixup": (0.0, 0.5),
    "supernet": (
        *({"epochs": 0}, {"epochs": 1, "rule": "uniform"}, {"epochs": 1, "rule": {"use": "adjoined", "random": 2}}),
        *({"epochs": 1, "within_limit": True}, {"epochs": 2, "batch": 7, "accumulate": 3, "clip": None}),
    ),
    "retrain": (
        *({"epochs": 0}, {"epochs": 1, "loss": "plain"}, {"epochs": 1, "loss": "distilled", "temperature": 4.0}),
        *({"epochs": 1, "small_ce": True, "detach": True}, {"epochs": 1, "separate_norms": True}),
        *({"epochs": 3, "gradual": True}, {"epochs": 3, "gradual": True, "loss": "plain", "importance": "magnitude"}),
    ),
    "data": (
        *({"path": "digits.npz", "validation": 0.3}, {"path": "pictures", "validation": 0.3}),
        {"path": "pictures", "classes": "train", "validation": 0.3, "std": [0.5, 0.4, 0.3]},
    ),
    "data.validation": (0.3, 0.5),
    "data.image_size": (8, 16),
    "data.mean": ([0.5],),
    "data.interpolation": ("bicubic", "nearest"),
    "baseline": (1, 3),
    "latency.batches": ([2, 1], [3]),
    "store": ("sqlite:///other.sqlite",),
    "seed": (0, 2**31 - 1),
}
"""Values that keys of the study may have, by their dotted names. Some do not go with others: that is to be said."""


def valid(rng: Random) -> dict[str, Any]:
    """A study that is valid, or whose parts are."""
    study = copy.deepcopy(STUDY)
    space = study["space"]
    if rng.random() < 0.3:
        space.update(model="swin_tiny_patch4_window7_224", model_args=dict(SWIN), choices=rng.choice(EVERYWHERE))
    else:
        space.update(model_args=dict(rng.choice((VIT, POOLED))), choices=rng.choice((*EVERYWHERE, *ON_VIT)))
    study["strategy"] = rng.choice(SEARCHES)
    if rng.random() < 0.4:
        study["strategy"], space["choices"] = rng.choice(METHODS)
    if study["strategy"]["use"] == "uniform":
        del study["baseline"]
    for name in rng.sample(sorted(OPTIONS), rng.choice((0, 1, 1, 2, 3))):
        holder, _, key = name.rpartition(".")
        inner = study.setdefault(holder, {}) if holder else study
        inner[key] = rng.choice(OPTIONS[name])
    return copy.deepcopy(study)
