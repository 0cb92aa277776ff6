"""Annotated pictures in COCO's layout: what is read, what is refused, and how they become batches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from annotated_sets import HEIGHT, WIDTH, coco_set, content, thing, usual
from PIL import Image
from typing_extensions import override

from nas.data import Data, DataSpec, index, inspect_data, list_images, load_data
from nas.data.outlines import PackedRuns, drawn
from nas.data.parts import Part
from nas.data.reading import read
from nas.data.split import Split
from nas.data.transforms import UNCHANGED, Augmentation, augmentation_of
from nas.data.transforms.augmentation import Crop
from nas.errors import DataError, TrainingError
from nas.tasks import Annotations, Facts, TruthKind
from nas.tasks.classification import Classification

SIZE = (24, 32)
VARIED = augmentation_of(
    {"use": "annotated", "hflip": 0.5, "vflip": 0.5, "scale": [0.5, 1.5], "brightness": 0.2, "mosaic": 0.5}
)


class Finding(Classification):  # type: ignore[misc]
    """What learns from boxes; nothing else of it is asked here."""

    @property
    @override
    def learns_from(self) -> tuple[TruthKind, ...]:
        return "boxes", "masks"


def loaded(root: Path, **options: Any) -> Data:
    return load_data(replace(DataSpec(path=str(root)), **options), task=Finding(), image_size=SIZE, seed=0)


def seen(split: Split, seed: int | None = None, augment: Augmentation = UNCHANGED, **options: Any) -> list[Any]:
    """Pixels, boxes, classes and masks of all pictures, without padding."""
    rows = []
    for batch in split.batches(3, seed=seed, augment=augment, **options):
        targets = batch.targets
        assert isinstance(targets, Annotations)
        for row in range(len(batch)):
            there = targets.labels[row] != Annotations.NONE
            masks = None if targets.masks is None else targets.letterboxed_masks(row).tolist()
            said = [column[row][there].tolist() for column in (targets.boxes, targets.labels, targets.crowd)]
            rows.append([int(targets.ids[row]), batch.inputs[row].tolist(), *said, masks])
    return rows


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return usual(tmp_path_factory.mktemp("coco") / "cells")


def test_what_a_file_says_becomes_columns(root: Path) -> None:
    source = read(DataSpec(path=str(root)))
    assert (source.name, source.classes, source.category_ids) == ("cells", ("ant", "cat"), (3, 7))
    objects = source.train.objects
    assert objects is not None
    assert objects.ids.tolist() == [100, 110, 120, 130]
    assert np.diff(objects.starts).tolist() == [1, 2, 1, 0]
    assert objects.boxes.tolist() == [[2, 3, 8, 7], [0, 0, 4, 4], [8, 2, 16, 10], [0, 0, 5, 6]]
    assert objects.labels.tolist() == [1, 0, 1, 1]
    assert objects.crowd.tolist() == [False, False, True, False]
    assert objects.areas.tolist() == [24, 16, 64, 30]
    assert "left out, since they have no area inside of their pictures: 2 boxes" in source.notes[0]
    assert inspect_data(DataSpec(path=str(root))) == Facts(3, 2, None, "masks")


def test_pictures_are_letterboxed_and_boxes_lie_on_their_objects(root: Path) -> None:
    data = loaded(root, mean=[0.0], std=[1.0])
    assert (data.train.shape, data.image_size, data.category_ids) == ((3, 3, 24, 32), SIZE, (3, 7))
    whole = next(data.train.batches(8))
    targets = whole.targets
    assert isinstance(targets, Annotations)
    for row, count in enumerate(targets.counts().tolist()):
        for box, label, crowd in zip(targets.boxes[row, :count], targets.labels[row], targets.crowd[row], strict=False):
            left, top, right, bottom = box.int().tolist()
            middle = whole.inputs[row, 0, (top + bottom) // 2, (left + right) // 2]
            assert crowd or float(middle) * 255 == pytest.approx(110 if label else 70, abs=2)
    tall = loaded(root, image_size=(24, 64)).train.first(1)  # the same scale, and grey beside it
    assert tall.shape[-1] == SIZE[1]


def test_masks_are_where_boxes_are(root: Path) -> None:
    targets = next(loaded(root).train.between(0, 3).batches(8)).targets
    assert isinstance(targets, Annotations)
    assert targets.masks is not None
    row = targets.ids.tolist().index(110) if 110 in targets.ids.tolist() else targets.ids.tolist().index(120)
    for box, mask in zip(targets.boxes[row], targets.letterboxed_masks(row), strict=False):
        rows, columns = mask.nonzero().T
        if len(rows):
            found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert torch.tensor(found).float() == pytest.approx(box, abs=2.01) or targets.crowd[row].any()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_streamed_set_is_the_held_one(root: Path, workers: int) -> None:
    held, streamed = loaded(root), loaded(root, cache="none", workers=workers)
    assert (held.train.in_memory, streamed.train.in_memory) == (True, False)
    for name in ("train", "validation", "test"):
        one, other = getattr(held, name), getattr(streamed, name)
        assert seen(one) == seen(other)
        assert seen(one, 5, VARIED) == seen(other, 5, VARIED)
    assert len(streamed.without_test().test) == 0


def test_the_parts_of_ranks_are_the_batch(root: Path) -> None:
    for data in (loaded(root), loaded(root, cache="none", workers=0)):
        whole = seen(data.train, 3, VARIED)
        parts = [row for rank in range(2) for row in seen(data.train, 3, VARIED, part=Part(rank, 2))]
        assert sorted(map(str, parts)) == sorted(map(str, whole))


def test_what_is_varied_follows_from_seed_and_picture(root: Path) -> None:
    train = loaded(root).train
    state = torch.get_rng_state()
    first = seen(train, 1, VARIED)
    assert torch.equal(torch.get_rng_state(), state)
    assert first == seen(train, 1, VARIED)
    assert first != seen(train, 2, VARIED)


def test_a_mirrored_picture_has_mirrored_boxes_and_masks(root: Path) -> None:
    train = loaded(root).train
    mirrored = {row[0]: row for row in seen(train, 1, augmentation_of({"use": "annotated", "hflip": 1.0}))}
    for identity, pixels, boxes, labels, _, masks in seen(train):
        _, turned, other, same, _, drawn_masks = mirrored[identity]
        assert torch.allclose(torch.tensor(turned), torch.tensor(pixels).flip(-1))
        assert other == [[SIZE[1] - right, top, SIZE[1] - left, bottom] for left, top, right, bottom in boxes]
        assert same == labels
        assert drawn_masks == [[line[::-1] for line in mask] for mask in masks]


def test_other_augmentations_would_leave_boxes_behind(root: Path) -> None:
    with pytest.raises(
        TrainingError, match="found Crop; boxes would stay where they were; allowed: annotated, or none"
    ):
        next(loaded(root).train.batches(2, seed=1, augment=Crop()))


def test_a_listing_tells_of_other_objects(root: Path, tmp_path: Path) -> None:
    listing = list_images(DataSpec(path=str(root)))
    assert listing is not None
    (tmp_path / "index").write_bytes(index.packed(listing))
    assert index.read(tmp_path / "index").checksum == listing.checksum
    other = usual(tmp_path / "cells")
    assert list_images(DataSpec(path=str(other))).checksum == listing.checksum  # type: ignore[union-attr]
    file = other / "annotations" / "instances_train.json"
    file.write_text(file.read_text().replace("[2, 3, 6, 4]", "[2, 3, 6, 5]"))
    assert list_images(DataSpec(path=str(other))).checksum != listing.checksum  # type: ignore[union-attr]


def test_some_classes_alone(root: Path) -> None:
    source = read(DataSpec(path=str(root), classes=("cat", "ant")))
    assert (source.classes, source.category_ids) == (("cat", "ant"), (7, 3))
    assert source.train.objects is not None
    assert source.train.objects.labels.tolist() == [0, 1, 0, 0]


def test_a_picture_of_another_size_or_kind_is_named(root: Path, tmp_path: Path) -> None:
    other = usual(tmp_path / "cells")
    Image.new("L", (WIDTH, HEIGHT), 200).save(other / "images" / "100.png")
    assert loaded(other).train.shape[1] == 3
    another = usual(tmp_path / "others")
    Image.new("RGB", (WIDTH, HEIGHT + 1)).save(another / "images" / "101.png")
    with pytest.raises(DataError, match=r"101.png: .*it is 13 x 16 pixels, and its annotations are of 12 x 16"):
        loaded(another)


def test_a_task_of_classes_refuses_boxes(root: Path) -> None:
    with pytest.raises(DataError, match="its pictures come with masks; this task learns from class"):
        load_data(DataSpec(path=str(root)), image_size=SIZE, seed=0)


def test_packed_runs_are_read(tmp_path: Path) -> None:
    mask = drawn(PackedRuns(5, 7, ";230009"), 5, 7).decoded()
    assert mask.nonzero()[0].tolist() == [1, 1, 1, 2, 2, 2]
    with pytest.raises(DataError, match="a mask that cannot be drawn"):
        drawn(PackedRuns(5, 7, "zzzz~~~"), 5, 7)


def spoilt(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    said = content([thing(100, (2, 3, 6, 4)), thing(110, (0, 0, 4, 4), 3)])
    change(said)
    return said


def segmented(segmentation: Any) -> Callable[[dict[str, Any]], object]:
    return lambda said: said["annotations"][1].update(segmentation=segmentation)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda said: said["annotations"][1].update(image_id=9), r"annotations.1 is of picture 9, which is not among"),
        (lambda said: said["annotations"][1].update(category_id=9), r"annotations.1 has the category 9; .* are 3, 7"),
        (lambda said: said["annotations"][1].update(bbox=[0, 0, float("nan"), 2]), r"annotations.1.bbox.2: found nan"),
        (lambda said: said["annotations"][1].pop("bbox"), r"annotations.1.bbox is missing"),
        (lambda said: said.update(annotations=said["annotations"] * 5001), r"100.png has 5,001 objects, more"),
        (lambda said: said["images"][0].update(file_name="../100.png"), "leads out of the set"),
        (lambda said: said["images"][0].update(file_name="no.png"), "no.png, the first picture of .*, is in none of"),
        (lambda said: said["images"][0].update(width=0), r"images.0.width: found 0"),
        (lambda said: said["images"].append(said["images"][0]), "two pictures have the same id"),
        (lambda said: said["categories"].append({"id": 7, "name": "x"}), "two categories have the same id"),
        (lambda said: said.update(annotations=[]), "none of the training pictures has an object"),
        (lambda said: said.pop("categories"), "categories is missing"),
        (lambda said: said["annotations"][1].update(bbox=["a\nb", 0, 2, 2]), r"annotations.1.bbox.0: found a.nb;"),
        (lambda said: said["annotations"][1].update(area=-5), r"annotations.1.area: found -5; input should be greater"),
        (segmented({"size": [9, 9], "counts": [81]}), "a mask of 9 x 9 pixels in a picture of 12 x 16"),
        (segmented({"size": [12, 16], "counts": [5]}), "run lengths of 5 pixels, the picture has 192"),
        (segmented([[0, 0, 1e9, 0, 4, 4]]), "a corner at 1e.09, far outside of 12 x 16 pixels"),
        (segmented([[0, 0, 3, 0, 4, 4, 1]]), "a polygon of an odd number of coordinates"),
        (segmented("all of it"), "annotations.1.segmentation is neither polygons nor run lengths"),
    ],
)  # fmt: skip
def test_what_does_not_hold_together_is_named(
    change: Callable[[dict[str, Any]], object], words: str, tmp_path: Path
) -> None:
    root = coco_set(tmp_path / "set", train=spoilt(lambda said: None))
    (root / "annotations" / "instances_train.json").write_text(json.dumps(spoilt(change)))
    with pytest.raises(DataError, match=words):
        list_images(DataSpec(path=str(root)))


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"images": 1' + "1" * 5000 + "}", "\0"])
def test_what_is_no_json_is_said(text: str, tmp_path: Path) -> None:
    root = usual(tmp_path / "set")
    (root / "annotations" / "instances_train.json").write_text(text)
    with pytest.raises(DataError, match=r"instances_train.json: (no JSON|images)"):
        list_images(DataSpec(path=str(root)))


def test_files_are_named_where_several_could_be_meant(tmp_path: Path) -> None:
    root = usual(tmp_path / "set")
    annotations = root / "annotations"
    (annotations / "instances_train_small.json").write_bytes((annotations / "instances_train.json").read_bytes())
    with pytest.raises(DataError, match=r"could all be the annotations of train; say which: data\.train: FILE"):
        list_images(DataSpec(path=str(root)))
    spec = DataSpec(path=str(root), train="annotations/instances_train_small.json")
    listing = list_images(spec)
    assert listing is not None
    assert list(listing.splits) == ["train"]
    for file, words in (("../x.json", "leads out of it"), ("x.json", "no such file")):
        with pytest.raises(DataError, match=words):
            list_images(replace(spec, train=file))
    with pytest.raises(DataError, match="and none of train"):
        list_images(DataSpec(path=str(root), val="annotations/instances_test.json"))


def test_other_categories_in_another_split_are_named(tmp_path: Path) -> None:
    root = usual(tmp_path / "set")
    file = root / "annotations" / "instances_test.json"
    file.write_text(re.sub("ant", "bee", file.read_text()))
    with pytest.raises(DataError, match=r"test.json has other categories than .*: 3 is bee, and in train ant"):
        list_images(DataSpec(path=str(root)))
