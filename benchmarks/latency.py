"""Latency as `nas bench` predicts it against that of whole sub-networks which it has not seen, on this machine's
processor by one thread: Kendall's tau (the aim is 0.95), what noise alone would leave of it, the median error (the aim
is 0.05) and bias, the spread of the sub-networks and the noise of the times themselves; of random ones, and of others
that lie evenly from the smallest to the largest. And how many of the sub-networks that are drawn just within a limit of
70 % exceed it by more than the table's error. What else ran meanwhile is said: load.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from nas.latency.building import TriedTable, measured_table
from nas.latency.checking import Prediction
from nas.latency.devices import Device, options_of
from nas.latency.devices.cpu_torch import CpuTorch
from nas.latency.devices.onnxruntime import OnnxRuntime
from nas.latency.passes import Passes
from nas.latency.table import LATENCY
from nas.searchspaces import Limit, SearchSpace
from nas.supernets import Supernet, build
from nas.supernets.of_space import image_of

TORCH = CpuTorch(threads=1)
RUNTIME = OnnxRuntime(threads=1)
RUNS: Sequence[tuple[str, Device, int, float]] = (
    ("vit_digits", TORCH, 100, 300.0),
    ("vit_digits", RUNTIME, 100, 120.0),
    ("deit_tiny", TORCH, 100, 180.0),
    ("deit_tiny", RUNTIME, 30, 500.0),
    ("swin_tiny", TORCH, 20, 120.0),
    ("swin_tiny", RUNTIME, 10, 60.0),
    ("vit_digits_bits", RUNTIME, 50, 120.0),
)
"""Spaces and devices, random sub-networks, and seconds for as many as fit into memory together."""
BAND = ("69%", "70%")
"""Where winners lie: a search ends just below its limit."""
ROWS = 1_000_000
"""Architectures whose latencies are looked up."""
FOLDER = Path(__file__).parents[1] / "searchspaces"


def measure(runs: Sequence[tuple[str, Device, int, float]] = RUNS) -> Iterator[dict[str, object]]:
    torch.set_num_threads(1)
    for name, device, architectures, seconds in runs:
        yield from _of_run(name, device, architectures, seconds)


def _of_run(name: str, device: Device, architectures: int, seconds: float) -> Iterator[dict[str, object]]:
    space = SearchSpace.from_yaml(FOLDER / f"{name}.yaml")
    supernet = Supernet(build(space.model, space.model_args), space)
    start = time.perf_counter()
    measured = measured_table(supernet, image_of(space), device, check=architectures, seconds=seconds)
    beside = {"least": round(time.perf_counter() - start, 1), "greatest": round(os.getloadavg()[0], 1)}
    where = f"latency of {name} on {options_of(device)['use']}"
    what = f"{where}, batch 1, {architectures}"
    yield from of_prediction(f"{what} random sub-networks", measured.prediction)
    yield from of_prediction(f"{what} from the smallest to the largest", measured.even)
    passes = measured.table.conditions.measured
    yield {"what": f"{what}: passes timed (seconds that it took, load)", "unit": "", "value": passes, **beside}
    yield of_limit(where, supernet, device, measured, architectures // 2, seconds / 2)
    if device is TORCH:
        yield _of_lookups(name, supernet, measured)


def of_prediction(what: str, shown: Prediction | None) -> Iterator[dict[str, object]]:
    """Rows on how sub-networks were predicted that a table was not made from."""
    assert shown is not None
    for figure, unit, value in (
        ("Kendall's tau of predicted and timed", "", shown.tau),
        ("tau that noise alone would leave", "", shown.ceiling),
        ("median error", "share", shown.error),
        ("error of 95 in a hundred", "share", shown.most),
        ("mean of predicted less timed", "share", shown.bias),
        ("spread of the sub-networks", "share", shown.spread),
        ("noise of the times", "share", shown.noise),
    ):
        yield {"what": f"{what}: {figure}", "unit": unit, "value": round(value, 4)}


def of_limit(
    where: str, supernet: Supernet, device: Device, measured: TriedTable, winners: int, seconds: float
) -> dict[str, object]:
    """Winners, and the whole model in turns with them."""
    table, space = measured.table, supernet.space
    limit = Limit(supernet.cost.beside({LATENCY: table.tabulated(space)}), latency=BAND)
    rng = np.random.default_rng(2)
    drawn = [space.sample(rng, limit) for _ in range(winners)]
    images = torch.randn(device.batch, *table.conditions.image)
    with torch.inference_mode():
        timed = Passes(supernet, device, images).timed([], drawn, seconds)
    shares = np.array([one.milliseconds for one in timed.whole]) / timed.model.milliseconds
    assert table.accuracy is not None
    over = int((shares > 0.7 * (1 + table.accuracy.most)).sum())
    return {
        "what": f"{where}: of {winners} drawn from {BAND[0]} to {BAND[1]} of the whole model's, those over "
        "70 % by more than the error of 95 in a hundred (least and greatest share timed)",
        "unit": "",
        "value": over,
        "least": round(float(shares.min()), 4),
        "greatest": round(float(shares.max()), 4),
    }


def _of_lookups(name: str, supernet: Supernet, measured: TriedTable) -> dict[str, object]:
    space = supernet.space
    rows = space.sample_table(np.random.default_rng(0), ROWS)
    additive = measured.table.additive(space)
    start = time.process_time()
    additive(rows)
    rate = ROWS / (time.process_time() - start)
    what = f"latency of {name}: predicted architectures per second of processor time"
    return {"what": what, "unit": "1/s", "value": round(rate)}
