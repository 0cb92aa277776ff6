"""Pickles whose tensors are arrays: the same values, shared memory, the same measurements."""

from __future__ import annotations

import pickle

import numpy as np
import torch
from torch import nn

from nas.evaluation import Evaluator, Measure
from nas.system.packing import pack, unpack
from nas.testing.relaxed import SPACES, Bench


def test_tensors_are_the_arrays_themselves() -> None:
    layer = nn.Linear(300, 200)
    layer.weight.requires_grad_(False)
    half = torch.ones(3, dtype=torch.bfloat16)
    packed = pack({"layer": layer, "again": layer.weight, "strided": torch.arange(6).reshape(2, 3).T, "half": half})
    assert len(packed.content) < 10_000, "no tensor is in the pickle"
    found = unpack(packed)
    assert found["again"].data_ptr() == found["layer"].weight.data_ptr()
    assert any(np.shares_memory(found["layer"].weight.numpy(), array) for array in packed.arrays)
    assert torch.equal(found["layer"].weight, layer.weight)
    assert [p.requires_grad for p in found["layer"].parameters()] == [False, True]
    assert torch.equal(found["strided"], torch.arange(6).reshape(2, 3).T)
    assert torch.equal(found["half"], half)


def test_an_evaluator_measures_the_same_after_its_travels() -> None:
    for kind in SPACES:
        bench = Bench(kind)
        axis = next(axis for axis in bench.supernet.space.axes if axis.startswith("mlp"))
        bench.supernet.reorder({axis: torch.rand(bench.supernet.table.frame.axes[axis])})
        measure = Measure(Evaluator(bench.supernet.eval(), bench.data.validation, bench.data.task))
        copy = pickle.loads(pickle.dumps(measure))
        for architecture in (bench.problem.space.smallest, bench.problem.space.largest):
            assert copy(architecture) == measure(architecture)
            assert list(copy.stages(architecture, (0.5, 1.0))) == list(measure.stages(architecture, (0.5, 1.0)))
