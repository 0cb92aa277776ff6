"""Look at what flows through a model: inputs and outputs of its modules, on calibration images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nas import seeds
from nas.errors import StrategyError
from nas.evaluation.evaluate import evaluating
from nas.evaluation.hooks import hooked
from nas.searchspaces import SearchSpace
from nas.supernets.of_space import table_of
from nas.training.workplace import Workplace


def require_layers(space: SearchSpace, criterion: str) -> None:
    """Raises `StrategyError` for a model whose layers nobody can look into."""
    if table_of(space).as_graph:
        raise StrategyError(
            f"{criterion}: it looks at what single layers read, and {space.model} runs as a captured graph, which has "
            "none; allowed: taylor, magnitude, l1_gates, directions by svd"
        )


@torch.no_grad()
def inputs_of(
    modules: Iterable[nn.Module], model: nn.Module, work: Workplace, images: int, batch: int
) -> Iterator[dict[nn.Module, Tensor]]:
    """Inputs of some modules of `model`, by module, batch for batch of calibration images; in evaluation mode."""
    modules = list(modules)
    device = next(model.parameters()).device
    with evaluating(model):
        for pictures in calibration(work, images, batch):
            with recorded(modules) as inputs:
                model(pictures.to(device))
            yield inputs


@contextmanager
def recorded(modules: Iterable[nn.Module]) -> Iterator[dict[nn.Module, Tensor]]:
    """Inputs of some modules, by module, filled when they run."""
    seen: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[module] = inputs[0]

    with hooked([module.register_forward_pre_hook(keep) for module in modules]):
        yield seen


@contextmanager
def outputs_recorded(modules: Iterable[nn.Module]) -> Iterator[dict[nn.Module, Tensor]]:
    """Outputs of some modules, by module, filled when they run."""
    seen: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        seen[module] = output

    with hooked([module.register_forward_hook(keep) for module in modules]):
        yield seen


def calibration(work: Workplace, images: int, batch: int) -> Iterator[Tensor]:
    """Batches of `images` training images (normalised float, B x C x H x W), drawn by the run's seed."""
    left = images
    for drawn in work.data.train.batches(batch, seed=seeds.derive(work.seed, seeds.SAMPLING)):
        yield drawn.inputs[:left]
        left -= len(drawn)
        if left <= 0:
            return
