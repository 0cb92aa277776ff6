"""Our loader over timm's own, with the same transforms and workers, in images per second (the aim is 0.95); and the
share of its time that a training step waits for images where the model is the bottleneck (the aim is below 0.05).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

import timm
import torch
from timm.data import create_dataset, create_loader
from torch.utils.data import Subset

from benchmarks.pairs import ratio
from benchmarks.pictures import folder
from benchmarks.training_step import step
from nas.data import Data, DataSpec, load_data
from nas.data.transforms import WithTimm
from nas.preprocessing import Preprocessing

PICTURES, LOOKED_AT, SIZE, BATCH, PAIRS = 5000, 1280, 224, 64, 5
FEW, STEPS, STEP = 500, 8, 16


def measure() -> Iterator[dict[str, object]]:
    with folder(PICTURES, (500, 375), PICTURES) as root:
        for workers in (1, 2):
            data = ours(str(root), workers)
            train, epoch = data.train.between(0, LOOKED_AT), [0]

            def run(train: object = train, epoch: list[int] = epoch) -> None:
                epoch[0] += 1
                count = sum(len(batch) for batch in train.batches(BATCH, seed=epoch[0], augment=WithTimm()))
                assert count == LOOKED_AT

            theirs = timms(str(root), workers, data.preprocessing)

            def run_timms(theirs: object = theirs) -> None:
                assert sum(len(images) for images, _ in theirs) == LOOKED_AT

            yield {
                "what": f"{PICTURES} JPEGs of 500 x 375, {workers} workers, at {SIZE}",
                "unit": "images per second of ours / of timm's",
                **ratio(run_timms, run, PAIRS),
            }
    yield from share_of_waiting()


def share_of_waiting() -> Iterator[dict[str, object]]:
    with folder(FEW, (500, 375), FEW) as root:
        waited, whole = waiting(ours(str(root), 1))
    yield {
        "what": f"DeiT-S, batch {STEP}, {STEPS} steps, 1 worker: waits for images",
        "unit": "share of the time",
        "value": round(waited / whole, 4),
        "seconds_a": round(waited, 2),
        "seconds_b": round(whole, 2),
    }


def ours(root: str, workers: int) -> Data:
    spec = DataSpec(path=root, cache="none", workers=workers, mean=(0.5,), std=(0.25,))
    return load_data(spec, image_size=SIZE, seed=0)


def timms(root: str, workers: int, preprocessing: Preprocessing) -> object:
    """Timm's own loader, without its prefetcher for GPUs."""
    dataset = create_dataset("", root=root)
    dataset.transform = timm.data.create_transform(
        SIZE, is_training=True, interpolation="random", mean=preprocessing.mean, std=preprocessing.std
    )
    part = Subset(dataset, range(0, PICTURES, PICTURES // LOOKED_AT)[:LOOKED_AT])
    return create_loader(part, SIZE, BATCH, is_training=True, use_prefetcher=False, num_workers=workers)


def waiting(data: Data) -> tuple[float, float]:
    """Seconds until batches came, and seconds in all, after the first step."""
    model = timm.create_model("deit_small_patch16_224", num_classes=10).train()
    batches = data.train.batches(STEP, seed=0, augment=WithTimm())
    waited, start = 0.0, 0.0
    for number in range(STEPS + 1):
        asked = time.perf_counter()
        batch = next(islice(batches, 1))
        if number == 0:
            start = time.perf_counter()
        else:
            waited += time.perf_counter() - asked
        step(model, model, batch.inputs, torch.as_tensor(batch.targets))()
    return waited, time.perf_counter() - start
