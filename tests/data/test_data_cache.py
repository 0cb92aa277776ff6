"""Images that are held on the disk: kept from start to start, as long as they are of the same pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from picture_sets import class_folders

from nas.data import Data, DataSpec, list_images, load_data
from nas.data import cache as cache_module
from nas.data.images import Encoded
from nas.errors import DataError

rng = np.random.default_rng(0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "set", train=12, test=3)


def load(root: Path, image_size: int = 8, seed: int = 0, **options: Any) -> Data:
    spec = DataSpec(path=str(root), cache="disk", **options)
    return load_data(spec, image_size=image_size, seed=seed, listing=list_images(spec), kept=root.parent / "cache")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each reading decoded."""
    counts, read = list[int](), Encoded.read
    monkeypatch.setattr(Encoded, "read", lambda *args: counts.append(len(args[1])) or read(*args))
    return counts


def files(root: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in (root.parent / "cache").iterdir())


def test_a_second_start_decodes_nothing(root: Path, decoded: list[int]) -> None:
    first, sizes = load(root), sorted(decoded)
    assert sum(sizes) == 30
    assert files(root) == ["test", "train", "validation"]
    decoded.clear()
    second = load(root)
    assert not decoded
    for name in ("train", "validation", "test"):
        assert torch.equal(getattr(first, name).images, getattr(second, name).images)
    assert first.preprocessing == second.preprocessing
    second.train.images[0] = 0  # type: ignore[attr-defined]
    assert torch.equal(first.train.images, load(root).train.images)  # type: ignore[attr-defined]


@pytest.mark.parametrize("change", ["pictures", "size", "crop", "seed", "damage"])
def test_what_is_kept_is_of_the_same_images(root: Path, decoded: list[int], change: str) -> None:
    load(root)
    decoded.clear()
    if change == "pictures":
        (root / "train" / "a" / "0.png").rename(root / "train" / "a" / "99.png")
        data = load(root)
    elif change == "damage":
        for path in (root.parent / "cache").iterdir():
            path.write_bytes(path.read_bytes()[:-1])
        data = load(root)
    else:
        options: dict[str, Any] = {"size": {"image_size": 7}, "crop": {"crop_pct": 0.9}, "seed": {"seed": 5}}[change]
        data = load(root, **options)
    assert sum(decoded) == (24 if change == "seed" else 30)  # the test split is the same for all seeds
    assert files(root) == ["test", "train", "validation"]
    assert len(data.train.first(99)) == len(data.train)


def test_pictures_that_were_replaced_are_not_kept(root: Path) -> None:
    (root / "train" / "a" / "0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a/0\.png: not a readable picture"):
        load(root)
    assert files(root) == []  # nor half of one
    for _ in range(2):
        data = load(root, on_error="skip")
        assert data.notes[0].startswith("1 picture cannot be read")
    assert len(files(root)) == 2


def test_no_space_is_said_before_anything_is_decoded(
    root: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.os, "posix_fallocate", full)
    with pytest.raises(
        DataError, match=r"cache: disk: 20 images at 8 pixels take .* GB, and .*cache has .* GB left; have the run on a"
    ):
        load(root)
    assert not decoded
    assert os.listdir(root.parent / "cache") == []  # noqa: PTH208
