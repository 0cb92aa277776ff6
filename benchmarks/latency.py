"""Latency as `nas bench` predicts it against that of whole sub-networks which it has not seen, on this machine's
processor: Kendall's tau (the aim is 0.95), the median error (0.05), and the spread of the times themselves.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch

from nas.latency.building import measured_table
from nas.latency.checking import predicted_and_timed
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet, build
from nas.supernets.of_space import image_of

SPACES = ("vit_digits", "deit_tiny", "swin_tiny")
ARCHITECTURES = 100
FOLDER = Path(__file__).parents[1] / "searchspaces"


def measure() -> Iterator[dict[str, object]]:
    torch.set_num_threads(1)
    for name in SPACES:
        space = SearchSpace.from_yaml(FOLDER / f"{name}.yaml")
        supernet = Supernet(build(space.model, space.model_args), space)
        start = time.perf_counter()
        table = measured_table(supernet, image_of(space))
        seconds = time.perf_counter() - start
        shown = predicted_and_timed(table, supernet, ARCHITECTURES)
        what = f"latency of {name}, batch 1, 1 thread, {ARCHITECTURES} random sub-networks"
        yield {"what": f"{what}: Kendall's tau of predicted and timed", "unit": "", "value": round(shown.tau, 3)}
        yield {"what": f"{what}: median error", "unit": "share", "value": round(shown.error, 4)}
        yield {"what": f"{what}: spread of the times themselves", "unit": "share", "value": round(shown.noise, 4)}
        yield {
            "what": f"{what}: table of {table.conditions.measured} timed calls",
            "unit": "s",
            "value": round(seconds, 1),
            "least": round(float(shown.timed.min()), 3),
            "greatest": round(float(shown.timed.max()), 3),
        }
