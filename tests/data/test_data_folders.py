"""Folders as users have them: splits under other names, hidden copies, endings that nobody reads."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL import features as pil_features

from nas.data import Data, DataSpec, inspect_data, load_data
from nas.errors import DataError

rng = np.random.default_rng(0)


def pictures(folder: Path, count: int, ending: str = "png") -> None:
    """Pictures of noise, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{k}.{ending}")


def tree(root: Path, *splits: str, classes: str = "abc", count: int = 10) -> None:
    for split in splits:
        for name in classes:
            pictures(root / split / name, count)


def load(root: Path, **options: Any) -> Data:
    return load_data(DataSpec(path=str(root), **options), image_size=8, seed=0)


@pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("TRAIN", "val"), ("train", "Validation")])
def test_splits_in_any_case(tmp_path: Path, train: str, test: str) -> None:
    tree(tmp_path, train, test)
    data = load(tmp_path)
    assert data.class_names == ("a", "b", "c")
    assert len(data.test) == 30
    assert data.notes == ()


@pytest.mark.parametrize(
    "names",
    [("Training", "Testing"), ("train_set", "test_set"), ("train2017", "val2017"), ("train", "test", "dev"),
     ("test", "val"), ("fold1", "fold2"), ("Training images", "Test images")],
)  # fmt: skip
def test_what_looks_like_a_split_is_a_question(tmp_path: Path, names: tuple[str, ...]) -> None:
    tree(tmp_path, *names, classes="ab", count=6)
    with pytest.raises(DataError, match=r"look like splits.*Call them train/.*data\.split_folders: none") as caught:
        inspect_data(DataSpec(path=str(tmp_path)))
    assert all(name in str(caught.value) for name in names)
    assert set(load(tmp_path, split_folders="none").class_names) == set(names)


def test_ordinary_classes_are_no_question(tmp_path: Path) -> None:
    names = ("attestation", "data", "device", "images", "set", "trainer", "valley")
    for name in names:
        pictures(tmp_path / name, 6)
    assert load(tmp_path, validation=0.3).class_names == names


def test_a_train_among_the_classes(tmp_path: Path) -> None:
    for name in ("bus", "train"):
        pictures(tmp_path / name, 10)
    with pytest.raises(DataError, match=r"a class beside bus/: data\.split_folders: none"):
        load(tmp_path)
    assert load(tmp_path, split_folders="none").class_names == ("bus", "train")


def test_two_folders_for_one_split(tmp_path: Path) -> None:
    tree(tmp_path, "train", "val", "valid")
    with pytest.raises(DataError, match=r"val, valid are all called like the validation split"):
        load(tmp_path)


def test_folders_beside_the_splits_are_named(tmp_path: Path) -> None:
    tree(tmp_path, "train", "test", "annotations")
    assert load(tmp_path).notes == (f"{tmp_path.name}: left out, beside the splits: annotations",)


def test_a_class_in_one_split_only_is_a_question(tmp_path: Path) -> None:
    tree(tmp_path, "train", "test")
    shutil.rmtree(tmp_path / "test" / "b")
    pictures(tmp_path / "test" / "d", 3)
    with pytest.raises(DataError, match=r"train/ lacks: d; no folder for the classes b;.*data\.classes: train"):
        load(tmp_path)
    data = load(tmp_path, classes="train")
    assert data.class_names == ("a", "b", "c")
    assert len(data.test) == 20
    assert data.notes == (
        "test/: class folders that train/ lacks: d; no folder for the classes b",
        "test has no image of 1 of the 3 classes: b",
    )


def test_an_empty_class_is_noted(tmp_path: Path) -> None:
    tree(tmp_path, "train", "test")
    for file in (tmp_path / "test" / "c").iterdir():
        file.unlink()
    assert load(tmp_path).notes == ("test has no image of 1 of the 3 classes: c",)
    for file in (tmp_path / "train" / "c").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="class c has no training image"):
        load(tmp_path)


def test_hidden_copies_are_skipped_everywhere(tmp_path: Path) -> None:
    tree(tmp_path, "train", "test")
    clean = load(tmp_path)
    for folder in [tmp_path, tmp_path / "train", *(tmp_path / "train").iterdir()]:
        for hidden in (".ipynb_checkpoints", "__MACOSX", "@eaDir", "._x"):
            pictures(folder / hidden / "a", 2)
            pictures(folder / hidden, 2)
        for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "._0.png"):
            (folder / name).write_bytes(b"")
    data = load(tmp_path)
    assert len(data.train) == len(clean.train)
    assert np.array_equal(data.train.images.numpy(), clean.train.images.numpy())
    assert data.notes == ()


def test_pictures_in_two_splits_are_counted(tmp_path: Path) -> None:
    tree(tmp_path, "train", "val", "test")
    for k in range(4):
        shutil.copy(tmp_path / "train" / "a" / f"{k}.png", tmp_path / "test" / "a" / f"copy-{k}.png")
    shutil.copy(tmp_path / "val" / "b" / "0.png", tmp_path / "test" / "b" / "again.png")
    assert load(tmp_path).notes == (
        "4 of the 35 test images are in train too, equal to the pixel",
        "1 of the 35 test images is in validation too, equal to the pixel",
    )


def test_equal_middle_rows_are_no_equal_pictures(tmp_path: Path) -> None:
    tree(tmp_path, "train", "test")
    with Image.open(tmp_path / "train" / "a" / "0.png") as picture:
        pixels = np.array(picture)
    pixels[0] += 1
    Image.fromarray(pixels).save(tmp_path / "test" / "a" / "0.png")
    assert load(tmp_path).notes == ()


def test_other_endings_are_read_or_named(tmp_path: Path) -> None:
    tree(tmp_path, "train", "test")
    with Image.open(tmp_path / "train" / "a" / "0.png") as picture:
        picture.save(tmp_path / "test" / "a" / "more.jfif", "jpeg")
        if pil_features.check("avif"):
            picture.save(tmp_path / "test" / "a" / "more.avif")
    (tmp_path / "test" / "b" / "phone.HEIC").write_bytes(b"?")
    (tmp_path / "train" / "b" / "deep").mkdir()
    (tmp_path / "train" / "b" / "deep" / "list.txt").write_text("?")
    (tmp_path / "train" / "README").write_text("?")
    shutil.copy(tmp_path / "train" / "a" / "1.png", tmp_path / "loose.png")
    data = load(tmp_path)
    assert len(data.test) == 31 + pil_features.check("avif")
    assert len(data.notes) == 1
    for left in (".heic (1)", ".txt (1)", "no ending (1)", ".png (1)"):
        assert left in data.notes[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_and_links_to_folders_are_not_read(tmp_path: Path) -> None:
    tree(tmp_path, "train", "test")
    os.mkfifo(tmp_path / "train" / "a" / "pipe.png")
    (tmp_path / "train" / "a" / "round").symlink_to(tmp_path / "train", target_is_directory=True)
    (tmp_path / "train" / "a" / "linked.png").symlink_to(tmp_path / "test" / "a" / "0.png")
    assert len(load(tmp_path).train) == round(31 * 0.85)
    (tmp_path / "train" / "a" / "broken.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"broken\.png: not a readable picture \(.*No such file"):
        load(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    tree(tmp_path, "train", "test")
    (tmp_path / "train" / "a").chmod(0)
    with pytest.raises(DataError, match=r"cannot be read \(Permission denied\)"):
        inspect_data(DataSpec(path=str(tmp_path)))
    (tmp_path / "train" / "a").chmod(0o700)


@pytest.mark.parametrize("path", ["a\0b", "~nobodyatall/x", "x" * 5000])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(DataError, match=r"data\.path: .* (is no path|does not exist)"):
        inspect_data(DataSpec(path=path))


def test_torchvision_sets_skip_hidden_files_and_name_hidden_classes(tmp_path: Path) -> None:
    root = tmp_path / "eurosat" / "2750"
    for name in "abcdefghij":
        pictures(root / name, 10)
    shutil.copytree(root / "a", root / "a" / ".ipynb_checkpoints")
    data = load_data(DataSpec(name="eurosat", path=str(tmp_path)), image_size=8, seed=0)
    assert len(data.train) + len(data.validation) + len(data.test) == 100
    (root / "b" / "3.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"b/3\.png: not a readable picture"):
        load_data(DataSpec(name="eurosat", path=str(tmp_path)), image_size=8, seed=0)
    shutil.copytree(root / "a" / ".ipynb_checkpoints", root / ".ipynb_checkpoints")
    with pytest.raises(DataError, match=r"takes the folder \.ipynb_checkpoints for a class; remove it"):
        inspect_data(DataSpec(name="eurosat", path=str(tmp_path)))
