"""Some of the classes, and a part of the images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data import Data, DataSpec, Split, inspect_data, load_data
from nas.errors import ConfigError, DataError
from nas.studies.file.resolve import resolve

CLASSES = ("ant", "bee", "great white shark", "train")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures whose red is the number of their class, times ten."""
    root = tmp_path_factory.mktemp("set")
    for role, count in (("train", 20), ("val", 4)):
        for number, name in enumerate(CLASSES):
            (root / role / name).mkdir(parents=True)
            for k in range(count):
                Image.new("RGB", (8, 8), (10 * number, k, 0)).save(root / role / name / f"{k}.png")
    return root


def load(root: Path, seed: int = 0, **options: Any) -> Data:
    return load_data(DataSpec(path=str(root), **options), image_size=8, seed=seed)


def reds(split: Split) -> list[tuple[int, int]]:
    """Class as the picture says, class as the split says."""
    batches = list(split.batches(99))
    targets = [int(target) for batch in batches for target in batch.targets]
    return sorted(set(zip((split.first(999)[:, 0, 0, 0] // 10).tolist(), targets, strict=True)))


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_classes_are_numbered_in_the_order_that_is_asked_for(root: Path, tmp_path: Path, cache: str) -> None:
    (tmp_path / "names.txt").write_text("great white shark\n\nant  and what it means\n")
    for classes in (("great white shark", "ant"), str(tmp_path / "names.txt")):
        data = load(root, classes=classes, cache=cache, workers=0)
        assert data.class_names == ("great white shark", "ant")
        assert inspect_data(DataSpec(path=str(root), classes=classes)).classes == 2
        assert len(data.train) + len(data.validation) == 40
        for split in (data.train, data.validation, data.test):
            assert reds(split) == [(0, 1), (2, 0)]


def test_the_first_of_any_set(root: Path) -> None:
    assert load(root, classes="first 3").class_names == CLASSES[:3]
    data = load_data(DataSpec(name="digits", classes=(3, 8)), image_size=8, seed=0)
    assert data.class_names == ("3", "8")
    assert len(data.train) + len(data.validation) + len(data.test) == 183 + 174


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("first 5", "there are 4; allowed: 2 to 4"),
        ("first 1", "allowed: 2 to 4"),
        (("ant", "bea"), r"1 are no classes of the set: bea.*it has 4: ant, bee"),
        (("ant",), "at least two classes are needed"),
        ("none.txt", r"'none\.txt' cannot be read as text .*allowed: same, train, first N, a list of names, or a file"),
    ],
)
def test_classes_that_are_none(root: Path, classes: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(root, classes=classes)


def test_words_of_the_key_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("train", "same"):
        (tmp_path / name).mkdir()
    (tmp_path / "names.txt").write_text("3\n8\n")
    study = """
space:
  model: vit_tiny_patch16_224
  model_args: {img_size: 8, patch_size: 4, embed_dim: 16, depth: 2, num_heads: 2}
  choices: {heads: {size: [1, 2], per: block}}
strategy: {use: uniform}
data: {name: digits, classes: WHICH}
"""
    for word in ("train", "same", "first 4"):
        assert resolve(study.replace("WHICH", word)).config.data.classes == word
    named = resolve(study.replace("WHICH", "names.txt"))
    assert named.config.data.classes == str(tmp_path / "names.txt")
    assert named.facts.classes == resolve(study.replace("WHICH", "[3, 8]")).facts.classes == 2
    assert resolve(study.replace("WHICH", "[3, 8]")).settings["data"]["classes"] == ["3", "8"]
    with pytest.raises(ConfigError, match="each class once"):
        resolve(study.replace("WHICH", "[3, 3]"))


def test_a_fraction_is_stratified_and_the_same_for_all_seeds(root: Path) -> None:
    one, other = (load(root, seed, fraction=0.5) for seed in (0, 1))
    both = [torch.cat([data.train.first(99), data.validation.first(99)])[:, :2, 0, 0] for data in (one, other)]
    assert all(len(images) == 40 for images in both)
    first, second = (sorted(map(tuple, images.tolist())) for images in both)
    assert first == second
    assert np.bincount(both[0][:, 0].numpy() // 10).tolist() == [10] * 4
    assert len(one.test) == 16
    assert not torch.equal(one.train.first(99), other.train.first(99))  # what is carved from it is the study's
    with pytest.raises(DataError, match=r"data\.fraction = 0\.01: 1 of 80 images cannot be set aside"):
        load(root, fraction=0.01)
