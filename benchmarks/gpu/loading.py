"""The loader against the GPU: pictures per second that are decoded and augmented as DeiT's, those that a training step
takes, and those of both together.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.gpu.machine import Machine
from benchmarks.gpu.models import Case, cases, step
from benchmarks.gpu.steps import bfloat16
from nas.data import Data, DataSpec, load_data
from nas.data.loader import suitable_workers
from nas.data.transforms import Augmentation, augmentation_of

CLASSES = 10
AUGMENT = "deit"


def measure(machine: Machine) -> Iterator[dict[str, Any]]:
    case, augment = cases(machine)[0], augmentation_of(AUGMENT)
    count, size, workers = (100, (100, 75), 1) if machine.small else (2000, (500, 375), suitable_workers())
    with tempfile.TemporaryDirectory(prefix="nas-gpu-") as folder:
        write_pictures(Path(folder), count, size)
        spec = DataSpec(path=folder, cache="none", workers=workers)
        data = load_data(spec, image_size=case.size, seed=0)
        of = f"JPEGs of {size[0]} x {size[1]}, {AUGMENT}, {workers} workers"
        run, steps, images = training(case, machine, data), -(-len(data.train) // case.batch), len(data.train)
        held = case.images(case.batch, machine.device)
        for _ in range(3):
            run(*held)
        pass_over(data, case, machine, augment, lambda *_: None)  # the workers start in it
        loader = images / pass_over(data, case, machine, augment, lambda *_: None)
        yield {"what": f"loader, {of}", "unit": "images/s", "value": loader}
        model = steps * case.batch / machine.seconds(lambda: [run(*held) for _ in range(steps)])
        yield {"what": f"training of {case.name} on one batch again and again", "unit": "images/s", "value": model}
        both = images / pass_over(data, case, machine, augment, run)
        yield {"what": f"training of {case.name} from the loader", "unit": "images/s", "value": both}
        yield {
            "what": "the last over the lesser of the two before",
            "unit": "ratio",
            "value": both / min(loader, model),
        }


def write_pictures(folder: Path, count: int, size: tuple[int, int]) -> None:
    """Folders of classes with JPEGs that are about as hard to decode as photographs: smooth, and noisy."""

    def write(number: int) -> None:
        rng = np.random.default_rng(number)
        small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        pixels = np.asarray(small.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
        noisy = (pixels + rng.integers(-12, 13, pixels.shape, dtype=np.int16)).clip(0, 255).astype(np.uint8)
        path = folder / f"class{number % CLASSES}" / f"{number}.jpg"
        Image.fromarray(noisy).save(path, quality=90)

    for number in range(CLASSES):
        (folder / f"class{number}").mkdir()
    with ThreadPoolExecutor(suitable_workers()) as pool:
        list(pool.map(write, range(count)))


def training(case: Case, machine: Machine, data: Data) -> Any:
    """A step of training the whole model on images and targets."""
    model = case.supernet(machine.device).model.train()
    assert data.image_size == case.size
    return step(model, model, bfloat16(machine))


def pass_over(data: Data, case: Case, machine: Machine, augment: Augmentation, use: Any) -> float:
    """Seconds of one pass over the training split, in which `use` gets each batch, to the end of what it started."""
    start = time.perf_counter()
    for batch in data.train.batches(case.batch, seed=0, device=machine.device, augment=augment):
        use(batch.inputs, batch.targets)
    if machine.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
