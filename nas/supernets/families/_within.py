"""A body inside a detector: its family's axes, at the path of the body, and the rows of what is around it."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from dataclasses import replace
from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from nas.axes import AxisTable, Entry, Frame
from nas.detectors._base import BODY, Detector
from nas.detectors.published import LAYOUT, ours
from nas.searchspaces.axis_names import EMBED
from nas.supernets.families._base import AttentionParts, Family, Readout, SizeOf
from nas.supernets.rows import parse

HEADS = ("head.", "head_dist.")
"""How names of a classifier begin, which a body is without."""


@final
class Within(Family):
    """What is asked of the detector is asked of its body's `family`; names of parameters and paths get the body's path
    before them.
    """

    def __init__(self, family: Family) -> None:
        self.family = family
        self.after_blocks = f"{BODY}.{family.after_blocks}"

    @override
    def hollow(self, model: nn.Module) -> str:
        return self.family.hollow(body_of(model))

    @override
    def refusal(self, model: nn.Module) -> str:
        return self.family.refusal(body_of(model))

    @override
    def feed_forward(self, model: nn.Module) -> tuple[str, ...]:
        return self.family.feed_forward(body_of(model))

    @override
    def frame(self, model: nn.Module) -> Frame:
        frame = self.family.frame(body_of(model))
        blocks = {index: f"{BODY}.{path}" for index, path in frame.blocks.items()}
        # What a head reads must stay in every block.
        first = self.readout(model).protected
        return replace(frame, blocks=blocks, protected=dict.fromkeys(frame.protected, first))

    @override
    def elastic(self, model: nn.Module) -> frozenset[str]:
        """What is elastic in the body, but for its own head, and for what the detector needs whole."""
        detector = detector_of(model)
        return frozenset(self.family.elastic(detector.body) - {"head_in"} - detector.inelastic.keys())

    @override
    def fixed(self, model: nn.Module) -> Mapping[str, str]:
        detector = detector_of(model)
        return {**self.family.fixed(detector.body), **detector.inelastic}

    @override
    def reshape(self, model: nn.Module, blocks: Mapping[str, nn.Module], size: SizeOf) -> None:
        detector = detector_of(model)
        self.family.reshape(detector.body, blocks, size)
        detector.without(frozenset(self.frame_blocks(detector)) - blocks.keys())
        if detector.named:
            detector.resized(size(EMBED))

    def frame_blocks(self, detector: Detector) -> tuple[str, ...]:
        """Indices of blocks that parameters outside the body belong to."""
        indices = (detector.block_of(name) for name, _ in detector.own_parameters())
        return tuple(index for index in indices if index)

    @override
    def image_size(self, model: nn.Module) -> tuple[int, int]:
        return self.family.image_size(body_of(model))

    @override
    def grid(self, model: nn.Module) -> tuple[int, int]:
        return self.family.grid(body_of(model))

    @override
    def readout(self, model: nn.Module) -> Readout:
        prefix, tokens = self.family.readout(body_of(model)).prefix, detector_of(model).tokens
        if not tokens:
            return Readout("avg", prefix, anchors=0)
        # The class token comes first, and nobody reads it.
        return Readout("token", prefix, anchors=prefix, unread=prefix - tokens)

    @override
    def classifier(self, model: nn.Module) -> tuple[str, ...]:
        return detector_of(model).classifier

    @override
    def around(self, model: nn.Module) -> tuple[str, ...]:
        return tuple(name for name in model.state_dict() if not name.startswith(f"{BODY}."))

    @override
    def names(self, model: nn.Module) -> Collection[str]:
        """Also those of the body alone."""
        return {*model.state_dict(), *body_of(model).state_dict()}

    @override
    def adapted(self, model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of the detector, of one of the published layout, or of the body alone, with a head that is left out."""
        detector, prefix = detector_of(model), f"{BODY}."
        if any(LAYOUT.match(name) for name in weights):
            weights = ours(weights, detector)
        around = set(self.around(model))
        own = {name: tensor for name, tensor in weights.items() if name in around}
        inner = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name not in around}
        headless = {name: tensor for name, tensor in inner.items() if not name.startswith(HEADS)}
        adapted = self.family.adapted(detector.body, detector.completed(headless))
        return {**{f"{prefix}{name}": tensor for name, tensor in adapted.items()}, **own}

    @override
    def attention(self, block: nn.Module) -> AttentionParts:
        return self.family.attention(block)

    @override
    def token_order(self, model: nn.Module) -> list[int]:
        return self.family.token_order(body_of(model))

    @override
    def partial(self, block: nn.Module, index: tuple[int, ...], device: torch.device) -> nn.Module:
        return self.family.partial(block, index, device)

    @override
    def fed(self, block: nn.Module, index: tuple[int, ...], device: torch.device) -> nn.Module:
        return self.family.fed(block, index, device)

    @override
    def table(self, model: nn.Module, chosen: Container[str] = ()) -> AxisTable:
        detector = detector_of(model)
        table = self.family.table(detector.body, chosen)
        entries = {
            f"{BODY}.{name}": replace(
                entry, parameter=f"{BODY}.{name}", matrix=entry.matrix and f"{BODY}.{entry.matrix}"
            )
            for name, entry in table.entries.items()
        }
        return AxisTable(
            self.frame(model), {**entries, **_entries(detector)}, table.products, body=BODY, normed=table.normed
        )


def _moved(entry: Entry) -> Entry:
    """A row of the body, with the body's path before its names."""
    matrix = f"{BODY}.{entry.matrix}" if entry.matrix else ""
    return replace(entry, parameter=f"{BODY}.{entry.parameter}", matrix=matrix)


def _entries(detector: Detector) -> dict[str, Entry]:
    """The rows of what is outside the body: all of fixed size, but for what reads the body."""
    applied, named = detector.applied(), detector.named
    entries = {}
    for name, parameter in detector.own_parameters():
        axes = named.get(name) or " ".join(map(str, parameter.shape))
        at = str(applied[name]) if name in applied else ""
        entries[name] = Entry(name, parse(axes), detector.block_of(name), at)
    return entries


def detector_of(model: nn.Module) -> Detector:
    """The detector that a model is."""
    assert isinstance(model, Detector), f"{type(model).__name__} is no detector"
    return model


def body_of(model: nn.Module) -> nn.Module:
    """The body of a detector."""
    return detector_of(model).body
