"""Every YAML file in the three root folders is loaded, and a shrunken version of it runs; the last test counts them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from annotated_sets import coco_set, content, thing
from ruamel.yaml import YAML

from nas import SearchSpace, Study, Supernet, search
from nas.cli import main
from nas.errors import StrategyError

ROOT = Path(__file__).parents[1]
FILES = {folder: sorted((ROOT / folder).glob("*.yaml")) for folder in ("searchspaces", "strategies", "studies")}
SEEN: set[Path] = set()

SMALL_IMAGES = {"deit": 32, "swin": 56, "t2t": 32}
"""Same model, smaller images: 4 tokens for DeiT and T2T-ViT, a grid of 14 x 14 for Swin."""

SHRUNKEN = [
    "strategy.trials=4",
    "base.epochs=1",
    "supernet.epochs=1",
    "retrain.epochs=1",
    "finalists=1",
    "latency.batches=[1]",
    "latency.seconds=0.01",
    "threads=1",
]

ONE_TRIAL: dict[str, list[str]] = {
    "an": [],
    "dan": ["strategy.training.epochs=2"],
    "knapsack": ["strategy.importance.images=64"],
    "magnitude": [],
    "mcf": [
        "strategy.importance.images=64",
        "space=searchspaces/vit_digits_matrices.yaml",
        "retrain.epochs=4",
        "retrain.loss=plain",
        "retrain.small_ce=false",
        "retrain.gradual=true",
        "retrain.importance={use: ffn_votes, images: 64}",
    ],
    "patch_slimming": [
        "strategy.importance.images=32",
        "strategy.training.epochs=1",
        "space=searchspaces/vit_digits_tokens.yaml",
    ],
    "sidt": ["strategy.importance.training.epochs=2"],
    "vtp_svd": ["strategy.importance.0.training.epochs=2", "space=searchspaces/vit_digits_matrices.yaml"],
    "vtp": ["strategy.importance.training.epochs=2"],
}
"""Presets that find one architecture, and how to make them short."""


def name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", FILES["searchspaces"], ids=name)
def test_spaces_load_and_their_smallest_network_runs(path: Path) -> None:
    SEEN.add(path)
    whole = SearchSpace.from_yaml(path)
    assert whole.size > 1
    # Tokens are counted in the file: they are those of its own image size.
    size = None if path.stem == "deit_tiny_tokens" else SMALL_IMAGES.get(path.stem.partition("_")[0])
    pixels = size or (224 if path.stem == "deit_tiny_tokens" else 8)
    space = SearchSpace.from_yaml(path, model_args={"img_size": size}) if size else whole
    supernet = Supernet(timm.create_model(space.model, **space.model_args), space).eval()
    x = torch.zeros(1, space.model_args.get("in_chans", 3), pixels, pixels)
    with torch.no_grad():
        for architecture in (space.smallest, space.sample(np.random.default_rng(0))):
            assert supernet(x, architecture).isfinite().all()
    assert (
        supernet.cost.macs([space.smallest])[0] < supernet.cost.macs([space.largest])[0] <= supernet.cost.base("macs")
    )


def digits_npz(folder: Path) -> Path:
    """A stand-in for Fashion-MNIST: the digits in the same layout."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8) * 15).astype(np.uint8)
    target = folder / "fashion_mnist.npz"
    keys = ("train_images", "train_labels", "test_images", "test_labels")
    np.savez(target, **dict(zip(keys, (images[:1200], labels[:1200], images[1200:], labels[1200:]), strict=True)))
    return target


SMALL_CELLS = ["supernet.epochs=0", "baseline=4", "data.image_size=[32, 64]"]


SMALL_PHOTOS = ["baseline=4", "data.image_size=[32, 64]", "data.validation=0.25", "task.channels=8",
                "task.candidates=20", "task.detections=5", "task.proposals=10", "task.box_width=16"]  # fmt: skip
EVOLUTION = ["strategy.trials=4", "strategy.population=3", "strategy.sample=2"]


def cells(folder: Path, *, masks: bool = False) -> Path:
    """A stand-in for blood cells: a few pictures of three classes, in the same layout; or for photos with masks."""
    outline = {"segmentation": [[1, 2, 6, 2, 6, 8, 1, 8]]} if masks else {}
    things = [thing(100 + 10 * k, (1 + k % 3, 2, 5, 6), 3 + k % 3, **outline) for k in range(4)]
    kinds = [{"id": 3 + k, "name": name} for k, name in enumerate(("red", "white", "platelet"))]
    content_of = {"categories": kinds}
    splits = {split: {**content(things, 4), **content_of} for split in ("train", "val", "test")}
    return coco_set(folder / "cells", **splits)


def need(preset: Path) -> None:
    """Skip where the package of a preset's strategy is not installed."""
    try:
        search.find(YAML(typ="safe").load(preset.read_text())["use"])
    except StrategyError as absent:
        pytest.skip(str(absent))


@pytest.mark.parametrize("path", FILES["studies"], ids=name)
def test_studies_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SEEN.add(path)
    need(ROOT / YAML(typ="safe").load(path.read_text())["strategy"]["use"])
    monkeypatch.chdir(ROOT)
    trials = ["strategy.trials=4"]
    if path.stem == "bccd":
        trials = [*ONE_TRIAL["sidt"], "strategy.importance.training.batch=4"]
        data = [f"data.path={cells(tmp_path)}", *SMALL_CELLS]
    elif path.stem == "bccd_yolos":
        data, trials = [f"data.path={cells(tmp_path)}", *SMALL_CELLS], ["strategy.importance.images=4"]
    elif path.stem == "coco_mini":
        data, trials = [f"data.path={cells(tmp_path, masks=True)}", *SMALL_PHOTOS], EVOLUTION
    else:
        data = ["data.train_images=100", *([f"data.path={digits_npz(tmp_path)}"] if path.stem != "digits" else [])]
    shrunken = [text for text in SHRUNKEN if not text.startswith("strategy.trials")]
    study = Study.from_yaml(path, overrides=[*shrunken, *trials, *data], folder=tmp_path / "run")
    study.run(quiet=True)
    own = 1 if path.stem.startswith("bccd") else 4
    assert len(study.trials()) == own + 4, "trials of the strategy and 4 of the uniform baseline"
    assert (tmp_path / "run" / "report" / "report.html").is_file()
    if path.stem == "bccd":
        rows = pd.read_csv(tmp_path / "run" / "report" / "results.csv")
        of_classes = [f"ap_of_{name}" for name in ("red", "white", "platelet")]
        assert rows[of_classes].mean(axis=1).to_numpy() == pytest.approx(rows["test_map"].to_numpy(), abs=1e-6)
        assert "average precision of" in (tmp_path / "run" / "report" / "report.html").read_text()
    if path.stem == "coco_mini":
        found = tmp_path / "found.json"
        assert main(["evaluate", str(tmp_path / "run"), "--predictions", str(found), "--device", "cpu"]) == 0
        of_pictures = json.loads(found.read_text())
        assert {type(entry["segmentation"]["counts"]) for entry in of_pictures} <= {str}
        assert all(entry["category_id"] in (3, 4, 5) for entry in of_pictures)


@pytest.mark.parametrize("path", FILES["strategies"], ids=name)
def test_strategies_search_the_digits(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SEEN.add(path)
    need(path)
    monkeypatch.chdir(ROOT)
    overrides = [f"strategy=strategies/{path.name}", *SHRUNKEN, "data.train_images=100"]
    overrides += ["baseline=4"] if path.stem != "uniform" else []
    if path.stem == "nni":
        overrides.append("objectives={accuracy: max}")
    if path.stem == "ray":
        overrides.append("strategy.workers=1")  # each imports torch anew; several are tried where Ray is tested
    if path.stem in ("evolution", "autoformer"):
        overrides += ["strategy.population=3", "strategy.sample=2"]
    if path.stem in ("halving", "racing"):
        overrides += ["objectives={accuracy: max}"]
    if path.stem in ONE_TRIAL:
        overrides = [text.replace("strategy.trials=4", "seed=0") for text in overrides] + ONE_TRIAL[path.stem]
    study = Study.from_yaml(ROOT / "studies" / "digits.yaml", overrides=overrides, folder=tmp_path / "run")
    study.run(quiet=True)
    trials = study.trials()
    own = 0 if path.stem == "uniform" else 1 if path.stem in ONE_TRIAL else 4
    assert (trials["strategy"] != "uniform").sum() == own
    assert trials["feasible"].all()


def test_every_file_was_seen() -> None:
    """Runs last in this file; a folder that goes empty, or a file that no test looked at, fails here."""
    assert {path for paths in FILES.values() for path in paths} == SEEN
    assert {folder: len(paths) for folder, paths in FILES.items()} == {
        "searchspaces": 19,
        "strategies": 20,
        "studies": 5,
    }
