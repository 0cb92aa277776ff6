"""Valid inputs that all others are made from: files of a user, and what a tiny run leaves behind."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
MODEL = {
    "model": "vit_tiny_patch16_224",
    "model_args": {
        **{"img_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2},
        **{"class_token": False, "global_pool": "avg"},
    },
    "choices": {
        "heads": {"size": [1, 2], "per": "block"},
        "mlp": {"size": {"from": 8, "to": 64, "step": 8}, "per": "block"},
    },
}
STUDY: dict[str, Any] = {
    "space": MODEL,
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


@dataclass(frozen=True)
class Examples:
    """The folder of examples: `run`, `model`, `digits.npz`, `pictures`, `weights.safetensors`; and the documents."""

    folder: Path
    spaces: tuple[Any, ...]
    studies: tuple[Any, ...]
    resolved: dict[str, Any]
    """The study of the run, with every key that has a default."""


def make(folder: Path) -> Examples:
    """Makes what is not there yet, in a child: a process that has computed is not to be forked."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model").exists():
        process = os.fork()
        if process == 0:
            try:
                os._exit(_write(folder))
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, "the example is no study any more"
    resolved = _document(folder / "run" / "study.yaml")
    return Examples(folder, _documents("searchspaces"), (STUDY, *_documents("studies")), resolved)


def _documents(name: str) -> tuple[Any, ...]:
    return tuple(_document(path) for path in sorted((ROOT / name).glob("*.yaml")))


def _document(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def _write(folder: Path) -> int:
    from fuzz.mutate import yaml
    from nas import cli

    rng = np.random.default_rng(0)
    labels = np.arange(24) % 3
    images = {split: rng.integers(0, 256, (24, 8, 8), dtype=np.uint8) for split in ("train", "test")}
    np.savez(
        folder / "digits.npz",
        **{f"{split}_images": array for split, array in images.items()},  # type: ignore[arg-type]
        **{f"{split}_labels": labels for split in images},
    )
    for split, array in images.items():
        for number, label in enumerate(labels[:12]):
            path = folder / "pictures" / split / "abc"[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array[number]).save(path)
    (folder / "study.yaml").write_text(yaml(STUDY), encoding="utf-8")
    run = str(folder / "run")
    code = cli.main(["run", str(folder / "study.yaml"), "--folder", run, "--quiet"])
    (folder / "weights.safetensors").write_bytes((folder / "run" / "base" / "weights.safetensors").read_bytes())
    return code or cli.main(["extract", run, "--to", str(folder / "model")])
