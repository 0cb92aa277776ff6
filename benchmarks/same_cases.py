"""The runs that `benchmarks.same_results` compares: every preset, and what no preset uses, on models that train in a
second. A case is a study with its changes on the command line; both commits get the same ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

SEEDS = (0, 1)
GROUPS = ("golden", "alone", "ray")
"""Processes that the cases are shared out to: pytest's, and Ray's, which must not end with the others'."""
SMALL = {"trials": 24, "population": 6, "sample": 2, "startup": 6, "round": 9, "images": 64, "epochs": 2, "grow": 4}
"""Options of presets, wherever they stand in it, and what they become."""
ONE_OBJECTIVE = ("halving", "nni", "racing")

VIT = {
    "model": "vit_tiny_patch16_224",
    "model_args": {"img_size": 8, "patch_size": 2, "embed_dim": 32, "depth": 3, "num_heads": 4},
}
SWIN = {
    "model": "swin_tiny_patch4_window7_224",
    "model_args": {
        "img_size": 16, "patch_size": 2, "window_size": 4, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4],
    },
}  # fmt: skip
T2T = {
    "model": "t2t_vit_7",
    "model_args": {"img_size": 32, "embed_dim": 32, "depth": 3, "num_heads": 4},
}
QUARTERS = {"size": [0.25, 0.5, 0.75, 1.0], "per": "block"}
QUERIES = {"keep": {"from": 0.0, "to": 1.0, "step": 0.0625}, "per": "block"}
SPACES: Mapping[str, dict[str, Any]] = {
    "widths": {**VIT, "choices": {"depth": {"depth": [2, 3]}, "heads": QUARTERS, "mlp": QUARTERS}},
    "dimensions": {**VIT, "choices": {"head_dim": QUARTERS, "mlp": QUARTERS}},
    "inputs": {**VIT, "choices": dict.fromkeys(("qkv_in", "proj_in", "fc1_in", "fc2_in"), QUARTERS)},
    "matrices": {
        **VIT,
        "choices": {
            "fc1_in": QUARTERS,
            "mlp": QUARTERS,
            "rank": {"rank": [0.25, 0.5, 0.75, 1.0], "of": ["qkv", "proj"], "per": "block"},
        },
    },
    "dropped": {**VIT, "choices": {"queries": {**QUERIES, "drop": True}}},
    "carried": {**VIT, "choices": {"queries": QUERIES}},
    "tokens": {
        **VIT,
        "choices": {"embed": {"size": [16, 24, 32]}, "tokens": {"keep": [0.5, 0.75, 1.0], "order": "never-grows"}},
    },
    "swin": {
        **SWIN,
        "choices": {
            "alpha": {"divide": ["heads", "mlp"], "by": [1, 2, 4], "per": "block"},
            "merging_in": {"size": [0.5, 0.75, 1.0]},
            "head_in": {"size": [0.5, 1.0]},
        },
    },
    "swin_dimensions": {**SWIN, "choices": {"head_dim": QUARTERS, "mlp": QUARTERS}},
    "t2t": {**T2T, "choices": {"heads": QUARTERS, "mlp": QUARTERS}},
}
OF_PRESET = {
    "magnitude": "dimensions",
    "sidt": "dimensions",
    "vtp": "inputs",
    "vtp_svd": "matrices",
    "mcf": "matrices",
    "patch_slimming": "dropped",
}
"""Which space a preset takes; the others take `widths`."""
SHORT = {"epochs": 2, "lr": 1e-2, "warmup": 0.5}
STUDY: Mapping[str, Any] = {
    "space": SPACES["widths"],
    "data": {"name": "digits", "train_images": 600},
    "limit": {"macs": "60%"},
    "baseline": 24,
    "objectives": {"accuracy": "max", "macs": "min"},
    "base": SHORT,
    "supernet": SHORT,
    "retrain": {**SHORT, "epochs": 1},
    "latency": {"batches": [1], "seconds": 0.01},
    "threads": 1,
}
GATES = {"use": "l1_gates", "training": SHORT}
SEARCH = {"use": "evolution", "trials": 24, "population": 6, "sample": 2}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "swin, distilled": {
        "space": SPACES["swin"],
        "strategy": SEARCH,
        "importance": "taylor",
        "retrain": {"loss": "distilled", "temperature": 2.0},
    },
    "swin, gates": {
        "space": SPACES["swin_dimensions"],
        "strategy": {"use": "threshold", "normalise": True, "importance": {**GATES, "where": "produced"}},
        "retrain": {"separate_norms": True, "detach": True},
    },
    "uniform rule, plain": {
        "strategy": {"use": "with_optuna", "sampler": "tpe", "trials": 24, "startup": 6},
        "limit": {"macs": ["20%", "70%"], "params": "80%"},
        "importance": {**GATES, "where": "consumed"},
        "base": {"mixup": 0.2, "cutmix": 0.5, "smoothing": 0.1, "augment": "crop", "ema": 0.9},
        "supernet": {"rule": "uniform", "within_limit": True, "accumulate": 2},
        "retrain": {"loss": "plain", "ema": 0.9},
    },
    "adjoined rule, embed and tokens": {
        "space": SPACES["tokens"],
        "strategy": SEARCH,
        "limit": {"params": "90%"},
        "objectives": {"loss": "min", "params": "min"},
        "supernet": {"rule": "adjoined"},
    },
    "energy, directions": {
        "space": SPACES["matrices"],
        "strategy": {
            "use": "threshold",
            "ranking": "energy",
            "importance": ["taylor", {"use": "directions", "method": "cholesky"}],
        },
    },
    "knapsack, directions": {
        "space": SPACES["matrices"],
        "strategy": {"use": "knapsack", "importance": ["magnitude", {"use": "directions", "method": "aware_svd"}]},
    },
    "carried tokens": {
        "space": SPACES["carried"],
        "strategy": {
            "use": "tolerance", "grow": 4, "importance": {"use": "patch_impact", "images": 64}, "training": SHORT,
        },
    },
    "t2t, dan": {
        "space": SPACES["t2t"],
        "data": {"image_size": 32},
        "limit": {"macs": "99%"},
        "strategy": {"use": "dan", "training": SHORT, "noise": "normal"},
    },
}  # fmt: skip
"""What no preset uses: other families, losses, rules, kinds of choices, criteria and limits."""


@dataclass(frozen=True)
class Case:
    """A study, or the file of one, and what `--set` changes in it. `tau`: its ranking is asked for as well. The group
    `golden` has no study.
    """

    name: str
    study: Mapping[str, Any] | str
    settings: tuple[str, ...]
    group: str = "alone"
    tau: bool = False

    @property
    def key(self) -> str:
        """Changes with the case, so that what is kept of another one is not taken for it."""
        return sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def cases(presets: Mapping[str, Mapping[str, Any]]) -> list[Case]:
    """All of them, for the presets of a commit: name -> options."""
    found = [Case("golden losses", "", (), "golden"), Case("demo, few trials", "studies/digits.yaml", tuple(_demo()))]
    for seed in SEEDS:
        found += [_preset(name, options, seed) for name, options in presets.items()]
        found += [Case(f"{name} ({seed})", _study(changes, seed), ()) for name, changes in VARIANTS.items()]
    return sorted(found, key=lambda case: GROUPS.index(case.group))


def _demo() -> Iterator[str]:
    yield from ("data.train_images=300", "strategy.trials=40", "baseline=20", "latency={batches: [1], seconds: 0.01}")
    yield from (f"{stage}.epochs=1" for stage in ("base", "supernet", "retrain"))


def _preset(name: str, options: Mapping[str, Any], seed: int) -> Case:
    changes: dict[str, Any] = {"space": SPACES[OF_PRESET.get(name, "widths")], "strategy": f"strategies/{name}.yaml"}
    if name in ONE_OBJECTIVE:
        changes["objectives"] = {"accuracy": "max"}
    if "trials" in options:
        changes["importance"] = "magnitude"
    if name == "mcf":
        changes["retrain"] = {"gradual": True}
    group = "ray" if name == "ray" else "alone"
    return Case(f"{name} ({seed})", _study(changes, seed), tuple(_smaller(options)), group, tau=name == "evolution")


def _study(changes: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The study with changes, one level deep."""
    mappings = ("data", "base", "supernet", "retrain")
    deeper = {key: {**STUDY[key], **new} for key, new in changes.items() if key in mappings}
    return {**STUDY, **changes, **deeper, "seed": seed, "name": "same"}


def _smaller(options: Any, place: str = "strategy") -> Iterator[str]:
    """Settings that make a preset short, at any depth."""
    pairs = options.items() if isinstance(options, Mapping) else enumerate(options) if isinstance(options, list) else ()
    for key, value in pairs:
        if key in SMALL and isinstance(value, int):
            yield f"{place}.{key}={SMALL[key]}"
        yield from _smaller(value, f"{place}.{key}")
