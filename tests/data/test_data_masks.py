"""Pictures with masks as PNG: what is read, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from annotated_sets import MASK_SIZE as SIZE
from annotated_sets import mask_set
from PIL import Image

from nas.data import DataSpec, inspect_data, load_data
from nas.errors import DataError
from nas.tasks import find
from nas.tasks.segmentation import UNLABELLED, labels_of


def spec(root: Path) -> DataSpec:
    return DataSpec(path=str(root), validation=0.25)


def test_pixels_come_with_the_class_that_the_mask_says(tmp_path: Path) -> None:
    data = load_data(spec(mask_set(tmp_path)), task=find("segmentation")(), image_size=(6, 10), seed=0)
    assert data.class_names == ("0", "1")
    assert (len(data.train), len(data.validation), len(data.test)) == (3, 1, 2)
    batch = next(data.test.batches(2))
    labels = labels_of(batch.targets, batch.inputs)
    wanted = torch.zeros(2, *SIZE, dtype=torch.int64)
    wanted[0, 0], wanted[1, 1], wanted[:, :, 9] = 1, 1, UNLABELLED
    assert torch.equal(labels, wanted)


def test_a_palette_and_names_are_read_and_margins_are_of_no_class(tmp_path: Path) -> None:
    root = mask_set(tmp_path)
    (root / "classes.txt").write_text("sky\nline\nnever\n")
    for path in (root / "masks").rglob("*.png"):
        coloured = Image.open(path).convert("L")
        coloured.putpalette([0, 0, 0, 255, 0, 0])
        coloured.save(path)
    facts = inspect_data(spec(root))
    assert (facts.truth, facts.classes) == ("masks", 3)
    data = load_data(spec(root), task=find("segmentation")(), image_size=(10, 10), seed=0)
    assert data.class_names == ("sky", "line", "never")
    assert "train has no object of 1 of the 3 classes: never" in data.notes
    batch = next(data.test.batches(2))
    labels = labels_of(batch.targets, batch.inputs)
    assert set(labels[:, 6:].flatten().tolist()) == {UNLABELLED}
    assert labels[0, 0, :9].tolist() == [1] * 9


def _save(root: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(root / "masks" / "val" / "0.png")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda root: (root / "masks/train/1.png").unlink(), "without a mask: images/train/1.png"),
        (lambda root: (root / "images/val/1.png").unlink(), "without a picture: masks/val/1.png"),
        (lambda root: _save(root, np.full(SIZE, 7, np.uint8)), "a mask of validation has the number 7, and the train"),
        (
            lambda root: _save(root, np.zeros((*SIZE, 3), np.uint8)),
            "val/0.png: no mask .its pixels are of the kind RGB",
        ),
        (lambda root: (root / "masks/val/0.png").write_bytes(b"x"), "val/0.png: no mask .damaged"),
        (lambda root: (root / "classes.txt").write_text("a\na\n"), "found 2 names, 1 different ones"),
        (lambda root: (root / "classes.txt").write_text("a\n"), "a mask of train has the number 1, and classes.txt"),
        (lambda root: (root / "images/train").rename(root / "images/valid"), "found val, valid; needed: train"),
        (lambda root: [p.unlink() for p in root.glob("*/train/*")], "train has no pictures"),
    ],
)
def test_what_does_not_hold_together_is_named(damage, said: str, tmp_path: Path) -> None:
    root = mask_set(tmp_path)
    damage(root)
    with pytest.raises(DataError, match=said):
        inspect_data(spec(root))


def test_a_mask_of_another_size_is_named_with_its_picture(tmp_path: Path) -> None:
    root = mask_set(tmp_path)
    _save(root, np.zeros((3, 3), np.uint8))
    with pytest.raises(
        DataError, match=r"0\.png: not a readable picture .it is 6 x 10 pixels, and its annotations are"
    ):
        load_data(spec(root), task=find("segmentation")(), image_size=(6, 10), seed=0)
