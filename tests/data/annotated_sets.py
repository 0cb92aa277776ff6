"""Small sets of annotated pictures, for tests: found objects of one colour on black."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 12, 16
MASK_SIZE = (6, 10)
CATEGORIES = [{"id": 7, "name": "cat"}, {"id": 3, "name": "ant"}]
"""With gaps between the ids, and not in their order: ant is class 0."""


def thing(picture: int, box: tuple[float, ...], category: int = 7, **more: Any) -> dict[str, Any]:
    """An annotation; its box is left, top, width, height."""
    return {"image_id": picture, "category_id": category, "bbox": list(box), **more}


def content(things: list[dict[str, Any]], pictures: int = 4, first: int = 100) -> dict[str, Any]:
    """Of an annotation file with so many pictures, whose ids have gaps."""
    images = [
        {"id": first + 10 * k, "file_name": f"{first + k}.png", "height": HEIGHT, "width": WIDTH}
        for k in range(pictures)
    ]
    return {"images": images, "annotations": things, "categories": [dict(category) for category in CATEGORIES]}


def coco_set(root: Path, **splits: dict[str, Any]) -> Path:
    """images/ with the pictures of all splits, and annotations/instances_SPLIT.json of each."""
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    for split, said in splits.items():
        for picture in said["images"]:
            pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            for one in said["annotations"]:
                if one["image_id"] == picture["id"]:
                    left, top, width, height = (max(0, int(side)) for side in one["bbox"])
                    pixels[top : top + height, left : left + width] = 40 + 10 * (one["category_id"] % 16)
            Image.fromarray(pixels).save(root / "images" / picture["file_name"])
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(said))
    return root


def usual(root: Path) -> Path:
    """Four pictures to train and two to test; one without objects, one with both kinds and a crowd, one with masks that
    reach over the border.
    """
    train = content(
        [
            thing(100, (2, 3, 6, 4)),
            thing(110, (0, 0, 4, 4), 3, segmentation=[[0, 0, 4, 0, 4, 4, 0, 4]]),
            thing(110, (8, 2, 8, 8), iscrowd=1, segmentation={"size": [HEIGHT, WIDTH], "counts": [96, 48, 48]}),
            thing(120, (-3, -2, 8, 8), segmentation=[[-3, -2, 5, -2, 5, 6, -3, 6]], area=30.0),
            thing(120, (4, 4, 0, 5)),
            thing(120, (30, 4, 5, 5)),
        ]
    )
    test = content([thing(500, (1, 1, 5, 5), 3), thing(510, (2, 2, 8, 8))], 2, 500)
    return coco_set(root, train=train, test=test)


def mask_set(root: Path, count: int = 4) -> Path:
    """A stripe of class 1 on class 0, at another place in each picture, and a column of no class."""
    for split, n in (("train", count), ("val", 2)):
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
        for k in range(n):
            mask = np.zeros(MASK_SIZE, np.uint8)
            mask[k % MASK_SIZE[0]] = 1
            mask[:, 9] = 255
            Image.fromarray(np.repeat(40 + 160 * mask[..., None], 3, 2)).save(root / "images" / split / f"{k}.png")
            Image.fromarray(mask).save(root / "masks" / split / f"{k}.png")
    return root
