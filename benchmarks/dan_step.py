"""A DAN search step over one plain step of the whole model plus one more whole pass, for 2, 4 and 8 values per choice.

The aim is 1.15, whatever the number of values. Beside it, the naive mixture, which runs each value on its own: the
whole model and a sub-network for every value, all in one step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import timm
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.pairs import ratio
from nas.searchspaces import SearchSpace
from nas.strategies.dan import Dan, DanStep
from nas.supernets import Supernet
from nas.tasks import Batch
from nas.tasks.classification import Classification
from nas.training import StepContext
from nas.training.objectives.relaxation import Relaxation

MODELS = {
    "ViT, 8 heads": ("vit_tiny_patch16_224", {"img_size": 112, "num_heads": 8, "depth": 8}),
    "Swin, 8 heads": ("swin_tiny_patch4_window7_224", {"img_size": 112, "depths": [2, 4], "num_heads": [8] * 2}),
}  # fmt: skip
VALUES = (2, 4, 8)
BATCH, PAIRS = 16, 7


def measure() -> Iterator[dict[str, object]]:
    for title, (name, args) in MODELS.items():
        for values in VALUES:
            steps = _steps(_supernet(name, args, values))
            for what in ("DAN", "naive mixture"):
                yield {
                    "what": f"{title}, {values} values",
                    "unit": f"{what} step / plain step of the whole and one more whole pass",
                    **ratio(steps[what], steps["two passes"], PAIRS),
                }


def _supernet(name: str, args: dict[str, object], values: int) -> Supernet:
    torch.manual_seed(0)
    widths = {"size": [round((i + 1) / values, 3) for i in range(values)], "of": ["heads", "mlp"], "per": "block"}
    text = json.dumps({"model": name, "model_args": args, "choices": {"width": widths}})
    space = SearchSpace.from_yaml(text)
    return Supernet(timm.create_model(name, **args), space).train()


def _steps(supernet: Supernet) -> dict[str, Callable[[], None]]:
    """One optimiser step of each way; all hold the same parameters."""
    relaxation = Relaxation(
        supernet, {name: torch.zeros(len(choice.values)) for name, choice in supernet.space.items()}, 1.0
    )
    optimiser = torch.optim.AdamW(relaxation.parameters(), lr=1e-5)
    size = supernet.space.model_args["img_size"]
    images, targets = torch.randn(BATCH, 3, size, size), torch.randint(1000, (BATCH,))
    step = DanStep(Dan(), relaxation)
    context = StepContext(relaxation, Classification(), 0.0, 0, 0, 0, 1, 0.5)
    count = len(next(iter(supernet.space.values())).values)
    rows = supernet.space.from_table([[value] * len(supernet.space) for value in range(count)])

    def stepped(loss: Callable[[], Tensor]) -> Callable[[], None]:
        def run() -> None:
            optimiser.zero_grad(set_to_none=True)
            loss().backward()
            optimiser.step()

        return run

    def whole() -> Tensor:
        return functional.cross_entropy(supernet.model(images), targets)

    def mixed() -> Tensor:
        return whole() + torch.stack([functional.cross_entropy(supernet(images, a), targets) for a in rows]).mean()

    return {
        "DAN": stepped(lambda: next(step(Batch(images, targets), context))),
        "naive mixture": stepped(mixed),
        "two passes": stepped(lambda: whole() + whole()),
    }
