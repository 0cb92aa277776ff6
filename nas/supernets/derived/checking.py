"""The proof of derived axes, on any model: what must hold of each kind of them, tried with random values."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nas.searchspaces import SearchSpace
from nas.searchspaces.axis_names import DEPTH, dimension, is_rank, ranked_matrix
from nas.supernets.derived.captured import Captured
from nas.supernets.derived.permutation import CLOSE, furthest
from nas.supernets.derived.precision import InDouble
from nas.supernets.derived.proof import NOT_TRIED, PROOFS, Proof
from nas.supernets.derived.ties import STATISTICS, untied
from nas.supernets.gates import gate_refusal
from nas.supernets.supernet import Supernet
from nas.supernets.timm_models import outline_of

RANK = "rank"
"""The kind of all ranks of matrices."""
BY_VECTOR = {torch.ops.aten.mv: lambda matrix, _, **__: 2 * matrix[0] * matrix[1]}
"""Operations of a matrix times a vector, which torch's counter leaves out where it counts those of a batch of them."""


def check(
    model: nn.Module, image: tuple[int, int, int], *, proofs: Sequence[str] = PROOFS, at_once: bool = False
) -> Iterator[Proof]:
    """A verdict for each kind of axes of a model, which loses its values to random ones. Raises `ModelError` for a
    forward that cannot be captured.

    `at_once` tries all kinds together, in a fraction of the time, and one by one only where something is wrong.
    """
    randomise_all(model)
    captured = Captured(model.double().eval(), image)
    images = torch.randn(2, *image, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    kinds: dict[str, list[str]] = defaultdict(list)
    for axis in {**captured.graphs.derivation.axes, **captured.graphs.table.frame.axes}:
        kinds[_kind(axis)].append(axis)
    if at_once:
        together = Proof(" ".join(kinds), 0, _found(captured, model, images, kinds, proofs))
        if together.good:
            yield from (Proof(kind, len(axes), together.found) for kind, axes in kinds.items())
            return
    alone = [
        Proof(kind, len(axes), _found(captured, model, images, {kind: axes}, proofs)) for kind, axes in kinds.items()
    ]
    yield from alone
    if at_once and all(proof.good for proof in alone):
        yield together


def costs_without_values(model: nn.Module, image: tuple[int, int, int]) -> list[Proof]:
    """For a model that is too large for values: its kinds of axes, and whether the costs of half of all are right."""
    captured = Captured(model.eval(), image)
    kinds = Counter(map(_kind, captured.graphs.table.frame.axes))
    supernet = _halved(captured, list(kinds))
    with torch.device("meta"):
        wrong = _miscounted(supernet, supernet.subnet(supernet.space.smallest), torch.empty(1, *image))[1]
    found = {**dict.fromkeys(PROOFS, NOT_TRIED), "costs": wrong}
    return [Proof(kind, number, found) for kind, number in kinds.items()]


def _found(
    captured: Captured, model: nn.Module, images: Tensor, kinds: Mapping[str, list[str]], proofs: Sequence[str]
) -> Mapping[str, str]:
    """What is found of some kinds of axes, tried together."""
    found = dict.fromkeys(PROOFS, NOT_TRIED)
    ordered = [axis for kind, axes in kinds.items() if kind not in (DEPTH, RANK) for axis in axes]
    if ordered and "order" in proofs:
        off = furthest(model, images, captured.graphs.derivation, ordered)
        found["order"] = "" if off < CLOSE else f"outputs are off by {off:.2g}"
    if ordered and "ties" in proofs:
        apart = untied(model, images, captured.graphs.derivation, ordered)
        found["ties"] = "; ".join(f"{axis} is another axis in {names[0]}" for axis, names in apart.items())
    tabled = {_kind(axis) for axis in captured.graphs.table.frame.axes}
    if sliced := [kind for kind in kinds if kind in tabled]:
        found |= _slice(_halved(captured, sliced), images, proofs)
    return found


def _slice(supernet: Supernet, images: Tensor, proofs: Sequence[str]) -> dict[str, str]:
    """What is found of the smallest sub-network."""
    smallest = supernet.space.smallest
    with InDouble():
        sliced, wrong = _miscounted(supernet, supernet.subnet(smallest), images[:1])
    found = {"costs": wrong}
    if "zeros" in proofs:
        found["zeros"] = _zeros(supernet, images, sliced)
    if "gradients" in proofs:
        supernet.zero_grad()
        supernet(images, smallest).square().sum().backward()
        gradients = [parameter.grad for parameter in supernet.parameters() if parameter.grad is not None]
        finite = bool(gradients) and all(bool(gradient.isfinite().all()) for gradient in gradients)
        found["gradients"] = "" if finite else "none, or some that are not finite"
    if "extraction" in proofs:
        with torch.no_grad():
            same = torch.equal(supernet.extract(smallest)(images), supernet(images, smallest))
        found["extraction"] = "" if same else "another output"
    return found


def _halved(captured: Captured, kinds: Sequence[str]) -> Supernet:
    """A supernet whose smallest sub-network has half of the units of some kinds of axes."""
    outline = outline_of(captured, captured.kind)
    matrices = ", ".join(map(ranked_matrix, filter(is_rank, outline.dimensions)))
    # At half of its directions a square matrix costs what it costs whole.
    own = {DEPTH: "depth: [0.5, 1.0]", RANK: f"rank: [0.4, 1.0], of: [{matrices}]"}
    lines = [f"  {kind}: {{{own.get(kind, 'size: [0.5, 1.0]')}}}" for kind in kinds]
    text = "\n".join([f"model: {captured.kind}", "choices:", *lines, ""])
    return Supernet(captured, SearchSpace.from_yaml(text, outline=outline))


def _kind(axis: str) -> str:
    """What is tried together: axes of one dimension, and all ranks."""
    return RANK if is_rank(dimension(axis)) else dimension(axis)


@torch.no_grad()
def _miscounted(supernet: Supernet, subnet: nn.Module, image: Tensor) -> tuple[Tensor, str]:
    """Outputs of the smallest sub-network, and where its costs in closed form are not those of what runs."""
    with FlopCounterMode(display=False, custom_mapping=BY_VECTOR) as counter:
        outputs: Tensor = subnet(image)
    counted = {
        "MACs": counter.get_total_flops() // 2,
        "parameters": sum(parameter.numel() for parameter in subnet.parameters()),
    }
    smallest = supernet.space.smallest
    said = {"MACs": int(supernet.cost.macs(smallest)[0]), "parameters": int(supernet.cost.params(smallest)[0])}
    return outputs, "; ".join(f"{said[w]:,} {w} for {counted[w]:,}" for w in said if said[w] != counted[w])


@torch.no_grad()
def _zeros(supernet: Supernet, images: Tensor, sliced: Tensor) -> str:
    """How far the slice is off from the whole with gates of 0, relative to the greatest output."""
    frame, sizes = supernet.table.frame, supernet.space.sizes(supernet.space.smallest)
    if any(gate_refusal(axis, supernet.table, "consumed") for axis in sizes):
        return NOT_TRIED
    gates = {axis: (torch.arange(frame.axes[axis]) < units).double() for axis, units in sizes.items()}
    with InDouble():
        gated = supernet.relaxed(images[:1], gates)
    off = float((gated - sliced).abs().max() / sliced.abs().max())
    return "" if off < CLOSE else f"outputs are off by {off:.2g}"


@torch.no_grad()
def randomise_all(model: nn.Module) -> None:
    """Random weights, norms, biases and statistics: at their initial ones and zeros they hide mistakes. Wide matrices
    have small values, so that what goes through many blocks stays within the numbers that an exponential takes.
    """
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        spread = 0.3 if parameter.dim() < 2 else min(0.1, max(parameter[:1].numel(), 1) ** -0.5)
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread + (parameter.dim() < 2))
    for name, buffer in model.named_buffers():
        if name.endswith(STATISTICS):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
