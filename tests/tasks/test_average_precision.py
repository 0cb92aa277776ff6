"""COCO's numbers: those of its own program, in the pictures' own pixels, whatever the letterbox."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from nas.tasks import Annotations, encoded
from nas.tasks._average_precision import NUMBERS, PrecisionTally, packed, results

SIZE, SCALE = (240, 320), 0.5
HEIGHT, WIDTH = 400, 600  # of the pictures, which fill 200 x 300 of the letterbox


@dataclass
class Found:
    """As a detector gives it."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor | None = None


def boxes_of(rng: np.random.Generator, count: int) -> Tensor:
    corner, side = rng.uniform(0, 180, (count, 2)), rng.uniform(4, 100, (count, 2))
    return torch.tensor(np.concatenate([corner, np.minimum(corner + side, (300, 200))], 1)).float()


def scene(seed: int, *, masks: bool) -> tuple[Annotations, list[Found]]:
    """Five pictures; most objects are found, not quite where they are, and others that are none."""
    rng = np.random.default_rng(seed)
    parts, every = [], []
    for number in range(5):
        count = int(rng.integers(0, 8)) if number else 6
        boxes, labels = boxes_of(rng, count), torch.tensor(rng.integers(0, 3, count)).long()
        own = boxes / SCALE
        drawn = []
        for left, top, right, bottom in own.round().int().tolist():
            mask = np.zeros((HEIGHT, WIDTH), bool)
            mask[top:bottom, left : max(left + 1, right - 3)] = True
            drawn.append(encoded(mask))
        parts.append(
            Annotations(
                boxes=boxes[None],
                labels=labels[None],
                crowd=torch.tensor(rng.random(count) < 0.15)[None],
                areas=(own[:, 2:] - own[:, :2]).prod(1)[None].float(),
                ids=torch.tensor([90 - number]),
                placement=torch.tensor([[SCALE, SCALE, 0.0, 0.0, HEIGHT, WIDTH]]),
                size=SIZE,
                masks=(tuple(drawn),) if masks else None,
            )
        )
        moved = boxes + torch.tensor(rng.normal(0, 3, (count, 4))).float()
        found = torch.cat([moved, boxes_of(rng, 3)])
        found[:, 2:] = torch.maximum(found[:, 2:], found[:, :2] + 1)
        guesses = torch.cat([labels, torch.tensor(rng.integers(0, 3, 3)).long()])
        scores = torch.tensor(rng.random(count + 3)).float()
        shares = torch.tensor(rng.random((count + 3, 28, 28))).float().sqrt() if masks else None
        every.append(Found(found, scores, guesses, shares))
    return Annotations.joined(parts), every


def by_coco(tally: PrecisionTally, kind: str) -> list[float]:
    """The twelve numbers as COCO's own program counts them from files."""
    images, truth = [], []
    for picture in tally.pictures:
        images.append({"id": picture.id, "height": picture.height, "width": picture.width})
        of = picture.truth
        for number, (left, top, right, bottom) in enumerate(of.boxes.tolist()):
            runs = {} if of.masks is None else {"segmentation": packed(of.masks)[number]}
            entry = {"id": len(truth) + 1, "image_id": picture.id, "category_id": int(of.labels[number]), **runs}
            box = [left, top, right - left, bottom - top]
            truth.append({**entry, "bbox": box, "iscrowd": int(of.crowd[number]), "area": float(of.areas[number])})  # type: ignore[index]
    known = COCO()
    known.dataset = {"images": images, "annotations": truth, "categories": [{"id": k} for k in range(3)], "info": {}}
    with contextlib.redirect_stdout(io.StringIO()):
        known.createIndex()
        found = known.loadRes(copy.deepcopy(results(tally.pictures, [0, 1, 2])))
        evaluation = COCOeval(known, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return list(map(float, evaluation.stats))


@pytest.mark.parametrize(("kind", "theirs"), [("boxes", "bbox"), ("masks", "segm")])
def test_the_numbers_are_those_of_cocos_program(kind: str, theirs: str) -> None:
    for seed in range(2):
        tally = PrecisionTally((kind,)).after(*scene(seed, masks=kind == "masks"))  # type: ignore[arg-type]
        numbers = tally.metrics
        assert list(numbers) == [quantity.name for quantity in NUMBERS[kind]]  # type: ignore[index]
        assert list(numbers.values()) == pytest.approx(by_coco(tally, theirs), abs=1e-6)
        first = next(iter(numbers.values()))
        assert 0.05 < first < 0.95


def test_what_is_found_exactly_is_found() -> None:
    targets, _ = scene(3, masks=False)
    found = []
    for row in range(len(targets)):
        there = targets.labels[row] >= 0
        boxes = targets.boxes[row][there]
        found.append(Found(boxes, torch.ones(len(boxes)), targets.labels[row][there]))
    tally = PrecisionTally().after(targets, found)  # type: ignore[arg-type]
    assert tally.metrics["map"] == pytest.approx(1)
    assert {round(of.average, 6) for of in tally.by_class().values()} == {1.0}
    assert tally.pictures[0].found.boxes.max() > SIZE[1], "in the pictures' own pixels"


def test_a_tally_of_parts_is_that_of_the_whole() -> None:
    targets, found = scene(4, masks=False)
    empty = PrecisionTally()
    part = empty.after(targets.between(0, 2), found[:2])  # type: ignore[arg-type]
    whole = part.after(targets.between(2, 5), found[2:])  # type: ignore[arg-type]
    assert (empty.n, part.n, whole.n) == (0, 2, 5)
    assert whole.metrics == empty.after(targets, found).metrics  # type: ignore[arg-type]


def test_of_nothing_found_and_of_nothing_there() -> None:
    targets, found = scene(5, masks=False)
    nothing = [Found(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long()) for _ in found]
    assert PrecisionTally().after(targets, nothing).metrics["map"] == 0  # type: ignore[arg-type]
    empty = targets.between(0, 1)
    bare = Annotations(**{**vars(empty), "labels": torch.full_like(empty.labels, -1)})
    assert PrecisionTally().after(bare, found[:1]).metrics["map"] == -1  # type: ignore[arg-type]


def test_results_are_plain_json_under_the_sets_own_numbers() -> None:
    tally = PrecisionTally(("masks",)).after(*scene(6, masks=True))  # type: ignore[arg-type]
    rows = results(tally.pictures, [11, 22, 33])
    assert json.loads(json.dumps(rows)) == rows
    assert {row["category_id"] for row in rows} <= {11, 22, 33}
    assert {row["image_id"] for row in rows} == {90, 89, 88, 87, 86}
