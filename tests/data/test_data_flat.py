"""Splits without class folders, as ImageNet's val/: a file says the class of each picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.data import Data, DataSpec, inspect_data, load_data
from nas.errors import DataError

SYNSETS = ("n01440764", "n01443537", "n02119789")
OF = (2, 0, 1, 1, 0)
"""Class of each picture of val/."""
NAMES = [f"ILSVRC2012_val_{k:08}" for k in range(1, len(OF) + 1)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    files = [f"train/{name}/{k}.JPEG" for name in SYNSETS for k in range(6)] + [f"val/{name}.JPEG" for name in NAMES]
    for file in files:
        (tmp_path / "set" / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / "set" / file)
    return tmp_path / "set"


def load(root: Path, labels: str, **options: Any) -> Data:
    path = root.parent / "labels"
    path.write_text(labels)
    return load_data(DataSpec(path=str(root), val_labels=str(path), validation=0.4, **options), image_size=8, seed=0)


def classes(data: Data) -> list[int]:
    return [int(target) for batch in data.test.batches(9) for target in batch.targets]


KAGGLE = "ImageId,PredictionString\n" + "".join(
    f"{name},{SYNSETS[k]} 85 1 499 272 {SYNSETS[k]} 1 2 3 4\n" for name, k in reversed([*zip(NAMES, OF, strict=True)])
)
FILES = {
    "kaggle": KAGGLE,
    "names": "".join(f"{name}.JPEG {SYNSETS[k]}\n" for name, k in zip(NAMES, OF, strict=True)),
    "tiny": "".join(f"{name}.JPEG\t{SYNSETS[k]}\t0\t32\t44\t62\n" for name, k in zip(NAMES, OF, strict=True)),
    "caffe": "".join(f"{name}.JPEG {k}\n" for name, k in zip(NAMES, OF, strict=True)),
    "in order": "".join(f"{SYNSETS[k]}\n" for k in OF),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_usual_files(root: Path, kind: str) -> None:
    data = load(root, FILES[kind])
    assert classes(data) == list(OF)
    assert data.class_names == SYNSETS
    assert len(data.train) + len(data.validation) == 18


def test_numbers_of_ilsvrc2012(root: Path) -> None:
    numbers = "".join(f"{(3, 2, 1)[k]}\n" for k in OF)
    with pytest.raises(DataError, match=r"holds numbers alone.*put its map_clsloc\.txt beside it"):
        load(root, numbers)
    (root.parent / "map_clsloc.txt").write_text("".join(f"{SYNSETS[k]} {3 - k} some name\n" for k in range(3)))
    assert classes(load(root, numbers)) == list(OF)


def test_pictures_in_a_folder_below(root: Path) -> None:
    (root / "val").rename(root / "images")
    (root / "val").mkdir()
    (root / "images").rename(root / "val" / "images")
    (root / "val" / "val_annotations.txt").write_text(FILES["tiny"])
    data = load(root, FILES["tiny"])
    assert classes(data) == list(OF)
    assert data.notes == ("set: left out, being no pictures, or in no class folder: .txt (1)",)


def test_without_a_file_it_is_asked_for(root: Path) -> None:
    with pytest.raises(DataError, match=r"set/val: pictures without class folders of train/; .* data\.val_labels: FIL"):
        inspect_data(DataSpec(path=str(root)))


def test_a_flat_test_beside_val_has_no_classes(root: Path) -> None:
    (root / "test").mkdir()
    (root / "test" / "1.JPEG").write_bytes((root / "val" / f"{NAMES[0]}.JPEG").read_bytes())
    data = load(root, KAGGLE)
    assert classes(data) == list(OF)
    assert data.notes == ("set: left out, since nothing says its classes: test",)


def test_missing_pictures_are_counted(root: Path) -> None:
    (root / "val" / f"{NAMES[1]}.JPEG").unlink()
    with pytest.raises(DataError, match=rf"1 pictures that labels names are missing: {NAMES[1]}; .*on_error: skip"):
        load(root, KAGGLE)
    data = load(root, KAGGLE, on_error="skip")
    assert classes(data) == [2, 1, 1, 0]
    assert data.notes[0].endswith(f"1 pictures that labels names are missing: {NAMES[1]}")


def test_pictures_that_the_file_does_not_name_are_left_out(root: Path) -> None:
    data = load(root, "".join(f"{name}.JPEG {SYNSETS[k]}\n" for name, k in list(zip(NAMES, OF, strict=True))[:4]))
    assert classes(data) == [2, 0, 1, 1]
    assert data.notes == (f"{root}/val: left out, since labels does not name them: 1 pictures ({NAMES[4]}.JPEG)",)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (KAGGLE.replace(SYNSETS[2], "n99999999"), "has the class 'n99999999', which train/ lacks"),
        (FILES["caffe"].replace(" 2", " 3"), "has the class '3', which train/ lacks"),
        (f"{SYNSETS[0]}\n", "has 1 lines, and there are 5 pictures"),
        ("", "has 0 lines"),
        ("x y\nz y\n", "which train/ lacks|missing|says the class of none"),
    ],
)
def test_files_that_do_not_fit(root: Path, labels: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(root, labels, on_error="skip")


def test_files_that_nothing_needs(root: Path) -> None:
    for name in SYNSETS:
        (root / "val" / name).mkdir()
    with pytest.raises(DataError, match=r"val_labels: not read, since .*set/val has class folders; leave it out"):
        load(root, KAGGLE)
    with pytest.raises(DataError, match=r"val_labels: not read, since there is no val/; leave it out"):
        load(root / "train", KAGGLE)


def test_a_file_that_is_not_there(root: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv cannot be read as text \(No such file"):
        inspect_data(DataSpec(path=str(root), val_labels="none.csv"))
