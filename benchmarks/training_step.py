"""A training step through the supernet's slices over the extracted model's own step, at batch 32; the aim is 1.10."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn import functional

from benchmarks.models import SPACES, half, supernet
from benchmarks.pairs import ratio

BATCH, PAIRS = 32, 5


def measure() -> Iterator[dict[str, object]]:
    for name in SPACES:
        net = supernet(name).train()
        images, targets = torch.randn(BATCH, 3, 224, 224), torch.randint(1000, (BATCH,))
        for what, architecture in (("largest", net.space.largest), ("half the MACs", half(net))):
            own = net.extract(architecture).train()
            shared = step(lambda x, a=architecture, net=net: net(x, a), net, images, targets)
            alone = step(own, own, images, targets)
            yield {
                "what": f"{name} {what}",
                "unit": "supernet step / extracted model's step",
                **ratio(shared, alone, PAIRS),
            }


def step(
    forward: Callable[[torch.Tensor], torch.Tensor], module: nn.Module, images: torch.Tensor, targets: torch.Tensor
) -> Callable[[], None]:
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4)

    def run() -> None:
        optimiser.zero_grad(set_to_none=True)
        functional.cross_entropy(forward(images), targets).backward()
        optimiser.step()

    return run
