"""Measuring a candidate of a detector's supernet over what anybody writes with torchvision and COCO's evaluation; the
aim is 1.05.

    python -m benchmarks.detector_evaluation RUN

The plain loop runs the extracted detector on the same images, batch by batch, brings boxes into the pictures' own
pixels and gives them to COCO's evaluation. `python -m benchmarks detector_evaluation` measures a detector that knows
nothing, on noise with twelve objects a picture; with the folder of a run, the run's winner on its validation split is
measured too. Rows of both come into `benchmarks/results.csv`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from faster_coco_eval import COCO, COCOeval_faster
from torch import nn

from benchmarks.__main__ import keep
from benchmarks.pairs import ratio
from benchmarks.small_detector import noise, small_supernet, small_task
from nas import Study, Supernet
from nas.data import Split
from nas.evaluation import Evaluator
from nas.searchspaces import Architecture
from nas.studies.run.results import EXPLORE
from nas.tasks import Annotations, Task

PAIRS, BATCH = 8, 16


def measure() -> Iterator[dict[str, object]]:
    task, split = small_task(), noise()
    net = small_supernet(task).eval()
    for what, architecture in (("whole", net.space.largest), ("smallest", net.space.smallest)):
        yield _row(f"small Faster R-CNN, {len(split)} pictures of noise, {what}", net, architecture, split, task)


def _row(what: str, net: Supernet, architecture: Architecture, split: Split, task: Task) -> dict[str, object]:
    """Processor seconds of one measurement, in turn with the plain loop's. No activations are kept, as for a candidate
    that shares none with those before.
    """
    detector = net.extract(architecture).eval()
    images = next(split.batches(len(split)))
    evaluator = Evaluator(net, split, task, batch=BATCH, reuse=0)
    ours: list[float] = []
    theirs: list[float] = []
    ratios = ratio(
        lambda: ours.append(evaluator(architecture).metrics["map"]),
        lambda: theirs.append(_plainly(detector, images.inputs, images.targets)),
        PAIRS,
        time.process_time,
    )
    assert abs(ours[0] - theirs[0]) < 1e-6, (ours[0], theirs[0])
    return {"what": what, "unit": "ours / torchvision's loop, processor time", **ratios}


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="the folder of a run of studies/bccd.yaml")
    torch.set_num_threads(1)
    study = Study.open(parser.parse_args().run)
    workshop = study._workshop(show=False)
    net = workshop.supernets.of(workshop.config.strategy_name).eval()
    architecture = Architecture(workshop.folder.need(EXPLORE).winner.architecture)
    data = workshop.data.validation
    task = replace(workshop.task, measured="boxes")  # the plain loop computes no loss
    row = _row(f"{workshop.data.name}, {len(data)} pictures, winner", net, architecture, data, task)
    rows = [row, *measure()]
    keep({"detector_evaluation": rows})
    print(*rows, sep="\n")


if __name__ == "__main__":
    main()
