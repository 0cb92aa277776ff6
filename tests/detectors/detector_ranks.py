"""What two processes train together that finds objects, or names pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from detector_spaces import SIDE, TASKS, space_of
from ranks_fakes import refreshed
from torch import Tensor

from nas import Supernet
from nas.data import Data, HeldSplit
from nas.preprocessing import Preprocessing
from nas.supernets import build
from nas.tasks import Annotations, Batch, Facts, Task, find
from nas.training import FitCall, Recipe, Runtime, Step, StepContext, fit, rules
from nas.training.ranks import Ranks

COUNT = 7
"""The last batch of four has three pictures: one rank has two of them, the other one."""
RECIPE = Recipe(epochs=1, lr=1e-3, batch=4, warmup=0, clip=None)
KINDS = ("retinanet", "segmentation", "yolos", "swin")
DRAWN = "swin"
"""An R-CNN: each rank draws the proposals that its loss is of."""
SIZES = {"patch_size": 8, "img_size": SIDE, "embed_dim": 16, "depth": 2, "num_heads": 2}
SWIN = {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4, "img_size": SIDE}


def task_of(kind: str) -> Task:
    return find("segmentation")(channels=8) if kind == "segmentation" else TASKS[kind]


def data(kind: str) -> Data:
    """Noise; every second picture has one more object than the others, every third none that is learned."""
    task = task_of(kind)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (COUNT, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    one = task.example_targets(Facts(3, 3, SIDE), COUNT)
    assert isinstance(one, Annotations)
    twice = {name: getattr(one, name).repeat_interleave(2, 1) for name in ("boxes", "labels", "crowd", "areas")}
    twice["boxes"][:, 1] -= 6
    twice["crowd"][::3, 0] = True
    twice["labels"][1::2, 1] = Annotations.NONE
    masks = tuple(of * 2 if row % 2 == 0 else of for row, of in enumerate(one.masks or ()))
    by = Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3)
    split = HeldSplit(images, replace(one, **twice, masks=masks), by)
    return Data(split, split, split, ("a", "b", "c"), 3, SIDE, "noise", task, by).without_test()


def trainee(kind: str) -> Supernet:
    model = "swin_tiny_patch4_window7_224" if kind == "swin" else "vit_tiny_patch16_224"
    args = {**(SWIN if kind == "swin" else SIZES), **task_of(kind).model_args(Facts(3, 3, SIDE))}
    space = space_of(model, args, {"mlp": {"size": [0.5, 1.0], "per": "block"}})
    torch.manual_seed(0)
    return Supernet(build(space.model, space.model_args), space)


@dataclass(frozen=True)
class Exact:
    """A step in double precision, so that only mistakes differ, not roundings."""

    step: Step

    def __call__(self, batch: Batch, context: StepContext) -> Iterator[Tensor]:
        targets = batch.targets
        assert isinstance(targets, Annotations)
        yield from self.step(
            replace(batch, inputs=batch.inputs.double(), targets=replace(targets, boxes=targets.boxes.double())),
            context,
        )


def trained(ranks: Ranks) -> dict[str, Any]:
    """For each kind: losses of the epochs, gradients of the last step, weights in the end."""
    found = {}
    for kind in KINDS:
        module = trainee(kind)
        step = Exact(rules.find("uniform")().step(module.space))
        runtime = Runtime(ranks=ranks, progress=False, refresh=refreshed)
        history = fit(FitCall(module.double(), step, data(kind), RECIPE, 0), runtime)
        gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
        found[kind] = [row.loss for row in history], gradients, module.state_dict()
    return found
