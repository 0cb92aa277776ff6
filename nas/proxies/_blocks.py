"""The blocks of an extracted sub-network: their matrices, and what goes in and comes out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas import seeds
from nas.evaluation.hooks import hooked
from nas.proxies._base import Evidence
from nas.supernets import Supernet


class Flow(NamedTuple):
    """What goes into a block and what comes out, float (B, ..., C)."""

    entering: Tensor
    leaving: Tensor


def blocks(supernet: Supernet, network: nn.Module) -> dict[str, nn.Module]:
    """Path -> block of those that a sub-network has, in the order of execution."""
    modules = dict(network.named_modules())
    return {path: modules[path] for path in supernet.table.frame.blocks.values() if path in modules}


def matrices(supernet: Supernet, network: nn.Module) -> tuple[list[str], list[str]]:
    """Names of the weights (out x in) of attention, and of those of feed-forward networks; of all blocks."""
    attention: list[str] = []
    feed_forward: list[str] = []
    layers = supernet.family.feed_forward(supernet.model)
    for path, block in blocks(supernet, network).items():
        for name, parameter in block.named_parameters():
            if parameter.ndim == 2 and name.endswith("weight"):
                fed = any(f"{layer}." in name for layer in layers)
                (feed_forward if fed else attention).append(f"{path}.{name}")
    return attention, feed_forward


def noise_flows(network: nn.Module, evidence: Evidence) -> list[Flow]:
    """What flows through the blocks for a batch of normal noise, drawn by the seed; with gradients."""
    shape = evidence.batch.inputs.shape
    generator = torch.Generator().manual_seed(seeds.derive(evidence.seed, seeds.NOISE))
    recorded: list[Flow] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        recorded.append(Flow(inputs[0], output))

    modules = blocks(evidence.supernet, network).values()
    with hooked(module.register_forward_hook(keep) for module in modules):
        network(torch.randn(shape, generator=generator))
    return recorded
