"""Measuring a candidate of a detector's supernet over what anybody writes with torchvision and COCO's evaluation; the
aim is 1.05.

    python -m benchmarks.detector_evaluation [RUN]

The plain loop runs the extracted detector on the same images, batch by batch, brings boxes into the pictures' own
pixels and gives them to COCO's evaluation. `python -m benchmarks detector_evaluation` measures a detector that knows
nothing, on noise with twelve objects a picture; with the folder of a run, it is the run's winner on its validation
split.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster
from torch import nn

from benchmarks.pairs import compared
from benchmarks.presets import read
from nas import SearchSpace, Study, Supernet
from nas.data import HeldSplit, Split
from nas.evaluation import Evaluator
from nas.preprocessing import Preprocessing
from nas.searchspaces import Architecture
from nas.studies.run.results import EXPLORE
from nas.supernets import build
from nas.tasks import Annotations, Facts, Task, find

ROOT = Path(__file__).parents[1]
PAIRS, BATCH = 7, 16
PICTURES, OBJECTS, SIZE, CLASSES = 87, 12, (96, 128), 3
"""As many as BCCD's validation split has."""


def measure() -> Iterator[dict[str, object]]:
    task = _task()
    net = _supernet(task)
    for what, architecture in (("whole", net.space.largest), ("smallest", net.space.smallest)):
        yield _row(f"small Faster R-CNN, {PICTURES} pictures of noise, {what}", net, architecture, _noise(), task)


def _row(what: str, net: Supernet, architecture: Architecture, split: Split, task: Task) -> dict[str, object]:
    """Processor seconds of one measurement, in turn with the plain loop's. Each evaluator is new, as for a candidate
    that shares no activations with those before; its images are normalised before, as the plain loop's are.
    """
    detector = net.extract(architecture).eval()
    images = next(split.batches(len(split)))
    evaluator = Evaluator(net, split, task, batch=BATCH, reuse=0)
    ours: list[float] = []
    theirs: list[float] = []
    pairs = [
        (
            _seconds(lambda: ours.append(evaluator(architecture).metrics["map"])),
            _seconds(lambda: theirs.append(_plainly(detector, images.inputs, images.targets))),
        )
        for _ in range(PAIRS + 1)
    ]
    assert abs(ours[0] - theirs[0]) < 1e-6, (ours[0], theirs[0])
    return {"what": what, "unit": "ours / torchvision's loop, processor time", **compared(pairs[1:])}


def _seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def _plainly(detector: nn.Module, images: torch.Tensor, truth: Annotations) -> float:
    """Average precision, by what a reader of torchvision's tutorials would write."""
    found = []
    with torch.inference_mode():
        for first in range(0, len(images), BATCH):
            for k, one in enumerate(detector(images[first : first + BATCH]).detections, first):
                scale = truth.placement[k, :2].repeat(2)
                size = truth.placement[k, [5, 4]].repeat(2)
                boxes = (one.boxes / scale).clamp_min(0).minimum(size)
                boxes[:, 2:] -= boxes[:, :2]
                found += [
                    {"image_id": k, "category_id": label, "bbox": box, "score": score}
                    for box, label, score in zip(boxes.tolist(), one.labels.tolist(), one.scores.tolist(), strict=True)
                ]
    known = _known(truth)
    evaluation = COCOeval_faster(known, known.loadRes(found), "bbox", print_function=lambda *_: None)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[0])


def _known(truth: Annotations) -> COCO:
    objects, sizes = [], truth.placement[:, 4:].int().tolist()
    for k, count in enumerate(truth.counts().tolist()):
        boxes = truth.restored(k, truth.boxes[k, :count].double())
        boxes[:, 2:] -= boxes[:, :2]
        columns = (boxes, truth.labels[k], truth.areas[k], truth.crowd[k])
        for box, label, area, crowd in zip(*(column[:count].tolist() for column in columns), strict=True):
            objects.append({"image_id": k, "category_id": label, "bbox": box, "area": area, "iscrowd": int(crowd)})
    images = [{"id": k, "height": height, "width": width} for k, (height, width) in enumerate(sizes)]
    categories = [{"id": k, "name": str(k)} for k in range(int(truth.labels.max()) + 1)]
    numbered = [{**thing, "id": k} for k, thing in enumerate(objects, 1)]
    return COCO({"images": images, "annotations": numbered, "categories": categories})


def _task() -> Task:
    """That of `studies/bccd.yaml`."""
    options = read(ROOT / "nas" / "tasks" / "presets" / "small_rcnn.yaml")
    return find(options.pop("use"))(**options, head="faster_rcnn")


def _supernet(task: Task) -> Supernet:
    """That of `studies/bccd.yaml`, untrained."""
    space = read(ROOT / "studies" / "bccd.yaml")["space"]
    space["model_args"] |= {"img_size": list(SIZE), **task.model_args(Facts(3, CLASSES, SIZE[0]))}
    found = SearchSpace.from_yaml(json.dumps(space))
    torch.manual_seed(0)
    return Supernet(build(found.model, found.model_args), found).eval()


def _noise() -> HeldSplit:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="the folder of a run of studies/bccd.yaml")
    torch.set_num_threads(1)
    study = Study.open(parser.parse_args().run)
    workshop = study._workshop(show=False)
    net = workshop.supernets.of(workshop.config.strategy_name).eval()
    architecture = Architecture(workshop.folder.need(EXPLORE).winner.architecture)
    data = workshop.data.validation
    print(_row(f"{study.record.label}, {len(data)} pictures, winner", net, architecture, data, workshop.task))


if __name__ == "__main__":
    main()
