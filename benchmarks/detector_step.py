"""A training step of a detector's supernet over the extracted detector's own step, by processor time; the aim is 1.05.

Proposals and samples are drawn alike in both, so that their heads have as much to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import nn

from benchmarks.pairs import ratio
from benchmarks.small_detector import noise, small_supernet, small_task
from nas.detectors import DetectorOutputs, Supervised
from nas.searchspaces import Limit
from nas.tasks import Batch, Task

BATCH, PAIRS = 8, 24
"""The batch of `studies/bccd.yaml`."""


def measure() -> Iterator[dict[str, object]]:
    task = small_task()
    net = small_supernet(task).train()
    batch = next(noise().batches(BATCH))
    architectures = {
        "whole": net.space.largest,
        "60 % of the body's MACs": net.space.nearest(net.space.largest, Limit(net.cost, body_macs="60%")),
    }
    for what, architecture in architectures.items():
        own = net.extract(architecture).train()
        shared = _step(lambda x, a=architecture: net(x, a), net, batch, task)
        alone = _step(own, own, batch, task)
        yield {
            "what": f"small Faster R-CNN, batch of {BATCH}, {what}",
            "unit": "supernet step / extracted detector's step, processor time",
            **ratio(shared, alone, PAIRS, time.process_time),
        }


def _step(
    forward: Callable[[Supervised], DetectorOutputs], module: nn.Module, batch: Batch, task: Task
) -> Callable[[], None]:
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4)
    criterion = task.criterion()

    def run() -> None:
        torch.manual_seed(0)
        optimiser.zero_grad(set_to_none=True)
        criterion(forward(task.learning_inputs(batch)), batch.targets).backward()
        optimiser.step()

    return run
