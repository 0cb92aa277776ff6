"""The detector of `studies/bccd.yaml`, untrained, and pictures of noise: what the benchmarks of detectors run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from benchmarks.presets import read
from nas import SearchSpace, Supernet
from nas.data import HeldSplit
from nas.preprocessing import Preprocessing
from nas.supernets import build
from nas.tasks import Annotations, Facts, Task, find

ROOT = Path(__file__).parents[1]
PICTURES, OBJECTS, SIZE, CLASSES = 87, 12, (96, 128), 3
"""As many pictures as BCCD's validation split has."""


def small_task() -> Task:
    """That of the study."""
    options = read(ROOT / "nas" / "tasks" / "presets" / "small_rcnn.yaml")
    return find(options.pop("use"))(**options, head="faster_rcnn")


def small_supernet(task: Task) -> Supernet:
    """That of the study."""
    space = read(ROOT / "studies" / "bccd.yaml")["space"]
    space["model_args"] |= {"img_size": list(SIZE), **task.model_args(Facts(3, CLASSES, SIZE[0]))}
    found = SearchSpace.from_yaml(json.dumps(space))
    torch.manual_seed(0)
    return Supernet(build(found.model, found.model_args), found)


def noise() -> HeldSplit:
    """Pictures of noise with objects anywhere."""
    rng = np.random.default_rng(0)
    height, width = SIZE
    images = rng.integers(0, 256, (PICTURES, 3, height, width), np.uint8)
    corners = rng.uniform(0, 0.8, (PICTURES, OBJECTS, 2)) * [width, height]
    boxes = np.concatenate([corners, corners + rng.uniform(6, 20, corners.shape)], -1)
    sides = boxes[..., 2:] - boxes[..., :2]
    targets = Annotations(
        boxes=torch.from_numpy(boxes).float(),
        labels=torch.from_numpy(rng.integers(0, CLASSES, (PICTURES, OBJECTS))),
        crowd=torch.zeros(PICTURES, OBJECTS, dtype=torch.bool),
        areas=torch.from_numpy(sides.prod(-1)).float(),
        ids=torch.arange(PICTURES),
        placement=torch.tensor([1.0, 1.0, 0.0, 0.0, height, width]).expand(PICTURES, 6).clone(),
        size=SIZE,
    )
    return HeldSplit(torch.from_numpy(images), targets, Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3))
