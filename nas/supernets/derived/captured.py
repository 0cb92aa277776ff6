"""A model as its captured graph: the same parameters by the same names, and a forward whose sizes follow the axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from nas.axes import AxisTable
from nas.supernets.derived.algebra import Axis
from nas.supernets.derived.derivation import Derivation
from nas.supernets.derived.deriving import derivation_of, passed_by
from nas.supernets.derived.factors import located
from nas.supernets.derived.labels import Labels, label
from nas.supernets.derived.program import Program, capture, require_logits, sharing
from nas.supernets.derived.segments import Segments, cut_in_segments
from nas.supernets.derived.tabled import spelled, table_of, tabled


@final
class Graphs:
    """What is captured of one model, when it is first needed: for evaluation, where its axes are found, and for
    training. All sub-networks and copies of the model share it.
    """

    def __init__(self, model: nn.Module, image: tuple[int, int, int], classes: int | None = None) -> None:
        self.model, self.image, self.classes = sharing(model), image, classes
        self.constants: dict[str, Tensor] = {}
        self._segments: dict[bool, Segments] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Graphs:
        return self

    @cached_property
    def derivation(self) -> Derivation:
        """The axes, by name."""
        return self._found[0]

    @cached_property
    def table(self) -> AxisTable:
        """The axis table of all of them that it can name. Raises `ModelError` for a forward that cannot be captured."""
        program, labels = self._evaluating
        return table_of(self.model, self.derivation, labels, program, self._names)

    def segments(self, *, training: bool) -> Segments:
        """The graph of a mode."""
        if training not in self._segments:
            program, labels = self._evaluating
            if training:
                program = capture(self.model, self.image, training=True)
                labels = label(program, labels.state)
            self._segments[training] = self._cut(program, labels)
        return self._segments[training]

    def constant(self, name: str, device: torch.device) -> Tensor:
        """A tensor that the forward makes by itself."""
        if self.constants[name].device != device:
            self.constants[name] = self.constants[name].to(device)
        return self.constants[name]

    def _cut(self, program: Program, labels: Labels) -> Segments:
        inputs = dict(program.inputs)
        for placeholder, (kind, _) in program.inputs.items():
            if kind == "constant":
                name = f"constant_{len(self.constants)}"
                self.constants[name] = program.tensors[placeholder]
                inputs[placeholder] = (kind, name)
        # Axes may have met those of another program since, which stand for them now.
        dims = spelled(labels, {axis.root(): name for axis, name in self._names.items()})
        blocks = self.table.frame.blocks
        passes = {index: passed_by(index, blocks, program, labels) for index in blocks}
        return cut_in_segments(replace(program, inputs=inputs), dims, blocks, passes, self.table.frame.full)

    @cached_property
    def _evaluating(self) -> tuple[Program, Labels]:
        program = capture(self.model, self.image)
        if self.classes:
            require_logits(program, self.classes, type(self.model).__name__)
        return program, label(program)

    @cached_property
    def _found(self) -> tuple[Derivation, dict[Axis, str]]:
        program, labels = self._evaluating
        return derivation_of(self.model, program, labels)

    @cached_property
    def _names(self) -> dict[Axis, str]:
        return tabled(self._evaluating[1], self._found[1])


@final
class Captured(nn.Module):
    """Runs one graph for every sub-network. Training has a graph of its own, with dropout, stochastic depth and the
    statistics of batches.

    sizes      units of axes that shrink
    factored   matrices that are two
    left_out   blocks that are not there
    mixed      blocks that give a gate's share of what they compute, and for the rest what they are given
    """

    def __init__(self, model: nn.Module, image: tuple[int, int, int], classes: int | None = None) -> None:
        """`image` is the shape of one that the model takes: channels, height, width. `classes`, where they are known,
        are how many logits it must give.
        """
        super().__init__()
        self.kind = type(model).__name__
        self.graphs = Graphs(model, image, classes)
        self.sizes: Mapping[str, int] = {}
        self.left_out: frozenset[str] = frozenset()
        self.factored: frozenset[str] = frozenset()
        self.mixed: Mapping[str, Tensor] = {}
        self.pretrained_cfg = getattr(model, "pretrained_cfg", None)
        _copy_tensors(model, self)
        self.train(model.training)

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Logits of images (batch x channels x height x width)."""
        segments = self.graphs.segments(training=self.training)
        lengths = [length.value(self.units, images.shape[0]) for length in segments.lengths]
        values = {segments.image: images}
        for segment in segments.running(self.factored):
            if segment.block in self.left_out:
                values[segment.gives[0]] = values[segment.passes]
            else:
                inputs = [
                    values[name] if name in values else self._state(segments.states[name], images.device)
                    for name in segment.reads
                ]
                values.update(zip(segment.gives, segment.run(lengths, images.device, *inputs), strict=True))
                if segment.block in self.mixed:
                    given, found = values[segment.passes], values[segment.gives[0]]
                    # To the last bit one or the other, where the gate is 0 or 1.
                    values[segment.gives[0]] = torch.lerp(given.to(found), found, self.mixed[segment.block].to(found))
            for name in segment.frees:
                values.pop(name, None)
        return values[segments.output]

    def units(self, atom: str) -> int:
        """Units of an axis in this sub-network."""
        return self.graphs.table.frame.size(atom, self.sizes)

    def _state(self, name: str, device: torch.device) -> Tensor:
        if name in self.graphs.constants:
            return self.graphs.constant(name, device)
        path, _, leaf = located(name, self.factored).rpartition(".")
        module = self.get_submodule(path)
        tensor = module._parameters[leaf] if leaf in module._parameters else module._buffers[leaf]
        assert tensor is not None
        return tensor


def _copy_tensors(model: nn.Module, to: nn.Module) -> None:
    """The tree of a model with its parameters and buffers, in modules that do nothing."""
    for path, module in model.named_modules():
        own = to if not path else nn.Module()
        if path:
            above, _, name = path.rpartition(".")
            to.get_submodule(above).add_module(name, own)
        own._parameters.update(module._parameters)
        own._buffers.update(module._buffers)
        own._non_persistent_buffers_set |= module._non_persistent_buffers_set
