"""A study from end to end on the device, shrunken: digits, few epochs, a gradient strategy beside uniform search."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu.machine import Machine
from nas.studies.run.results import EXTRACT, RETRAIN
from nas.studies.stages.extract import TOLERANCE
from nas.studies.study import Study

ROOT = Path(__file__).parents[2]
SHRUNKEN = (
    *("strategy=strategies/dan.yaml", "strategy.training.epochs=2", "baseline=20"),
    *("base.epochs=5", "supernet.epochs=2", "retrain.epochs=2", "latency.batches=[64]", "latency.seconds=0.1"),
)
SMALLER = (
    "data.train_images=200",
    "strategy.training.epochs=1",
    "base.epochs=1",
    "supernet.epochs=1",
    "retrain.epochs=1",
    "baseline=2",
)


def measure(machine: Machine) -> Iterator[dict[str, Any]]:
    settings = [*SHRUNKEN, f"device={machine.device.type}", *(SMALLER if machine.small else ())]
    with tempfile.TemporaryDirectory(prefix="nas-gpu-") as folder:
        study = Study.from_yaml(ROOT / "studies" / "digits.yaml", overrides=settings, folder=Path(folder) / "run")
        start = time.perf_counter()
        record = study.run(quiet=True)
        yield {"what": "a shrunken study of the digits by DAN", "unit": "s", "value": time.perf_counter() - start}
        for role, model in record.result(EXTRACT).roles.items():
            yield {
                "what": f"extracted from its supernet, on {model.images} real images: {role}",
                "unit": "of the outputs",
                "value": model.difference,
                "bound": TOLERANCE,
            }
        for row in record.result(RETRAIN).rows:
            yield {"what": f"test accuracy: {row.model}", "unit": "", "value": row.test["accuracy"]}
