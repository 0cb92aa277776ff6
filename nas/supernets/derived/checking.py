"""The proof of derived axes, on any model: what must hold of each kind of them, tried with random values.

order        units in another order, wherever the axis runs, and the same outputs
zeros        half of the units multiplied by 0 give what the slice without them gives, where a gate can say so
costs        MACs and parameters of the slice in closed form are those of what runs, to the unit
gradients    the slice sends finite ones into the model
extraction   the slice as a module of torch's classes gives the same, to the last bit
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nas.searchspaces import SearchSpace
from nas.searchspaces.axis_names import DEPTH, dimension
from nas.supernets.derived.captured import Captured
from nas.supernets.derived.permutation import CLOSE, difference
from nas.supernets.gates import gate_refusal
from nas.supernets.supernet import Supernet
from nas.supernets.timm_models import outline_of

PROOFS = ("order", "zeros", "costs", "gradients", "extraction")
NOT_TRIED = "-"


@final
@dataclass(frozen=True)
class Proof:
    """What was found of one kind of axes: for each proof nothing, what is wrong, or that it says nothing here ("-")."""

    kind: str
    axes: int
    found: Mapping[str, str]

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return all(found in ("", NOT_TRIED) for found in self.found.values())


def check(model: nn.Module, image: tuple[int, int, int]) -> Iterator[Proof]:
    """A verdict for each kind of axes of a model, which loses its values to random ones. Raises `ModelError` for a
    forward that cannot be captured.
    """
    randomise_all(model)
    captured = Captured(model.double().eval(), image)
    images = torch.randn(2, *image, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    kinds: dict[str, list[str]] = defaultdict(list)
    for axis in {**captured.graphs.derivation.axes, **captured.graphs.table.frame.axes}:
        kinds[dimension(axis)].append(axis)
    for kind, axes in kinds.items():
        found = dict.fromkeys(PROOFS, NOT_TRIED)
        if kind != DEPTH:
            off = difference(model, images, captured.graphs.derivation, axes)
            found["order"] = "" if off < CLOSE else f"outputs are off by {off:.2g}"
        if any(axis in captured.graphs.table.frame.axes for axis in axes):
            found |= _slice(captured, images, kind)
        yield Proof(kind, len(axes), found)


def _slice(captured: Captured, images: Tensor, kind: str) -> dict[str, str]:
    """What is found of the sub-network with half of the units of one kind of axes."""
    values = "depth" if kind == DEPTH else "size"
    text = f"model: {captured.kind}\nchoices:\n  {kind}: {{{values}: [0.5, 1.0]}}\n"
    supernet = Supernet(captured, SearchSpace.from_yaml(text, outline=outline_of(captured, captured.kind)))
    smallest = supernet.space.smallest
    subnet = supernet.subnet(smallest)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        sliced = subnet(images[:1])
        macs = counter.get_total_flops() // 2
    counted = {"MACs": macs, "parameters": sum(parameter.numel() for parameter in subnet.parameters())}
    said = {"MACs": int(supernet.cost.macs(smallest)[0]), "parameters": int(supernet.cost.params(smallest)[0])}
    wrong = [f"{said[what]:,} {what} for {counted[what]:,}" for what in said if said[what] != counted[what]]
    supernet.zero_grad()
    supernet(images, smallest).square().sum().backward()
    gradients = [parameter.grad for parameter in captured.parameters() if parameter.grad is not None]
    finite = bool(gradients) and all(bool(gradient.isfinite().all()) for gradient in gradients)
    with torch.no_grad():
        same = torch.equal(supernet.extract(smallest)(images), supernet(images, smallest))
    return {
        "zeros": _zeros(supernet, images, sliced),
        "costs": "; ".join(wrong),
        "gradients": "" if finite else "none, or some that are not finite",
        "extraction": "" if same else "another output",
    }


@torch.no_grad()
def _zeros(supernet: Supernet, images: Tensor, sliced: Tensor) -> str:
    """How far the slice is off from the whole with gates of 0, relative to the greatest output."""
    frame, sizes = supernet.table.frame, supernet.space.sizes(supernet.space.smallest)
    if any(gate_refusal(axis, supernet.table, "consumed") for axis in sizes):
        return NOT_TRIED
    gates = {axis: (torch.arange(frame.axes[axis]) < units).double() for axis, units in sizes.items()}
    gated = supernet.relaxed(images[:1], gates)
    off = float((gated - sliced).abs().max() / sliced.abs().max())
    return "" if off < CLOSE else f"outputs are off by {off:.2g}"


@torch.no_grad()
def randomise_all(model: nn.Module) -> None:
    """Random weights, norms, biases and statistics: at their initial ones and zeros they hide mistakes."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        spread = 0.3 if parameter.dim() == 1 else 0.1
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread + (parameter.dim() == 1))
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
