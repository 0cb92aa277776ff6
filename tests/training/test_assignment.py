"""Assignments: a training that other processes can do, with the same result."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ranks_fakes import KINDS, RECIPE, Exact, refreshed, trainee
from test_fit_supernet import make_supernet
from torch import nn
from training_fakes import make_data, same_weights

from nas.searchspaces import Limit
from nas.training import FitCall, Runtime, Step
from nas.training.parallel.assignment import Assignment
from nas.training.rules import find


def assignment(module: nn.Module, step: Step) -> Assignment:
    call = FitCall(module, step, make_data(25), replace(RECIPE, epochs=1), 0)
    return Assignment.of(call, Runtime(refresh=refreshed, evaluate=total, title="there"), threads=1)


def total(module: nn.Module) -> dict[str, float]:
    return {"sum": sum(float(parameter.detach().sum()) for parameter in module.parameters())}


@pytest.mark.parametrize("kind", [*KINDS, "limited"])
def test_what_stages_train_trains_the_same_after_its_travels(kind: str) -> None:
    def made() -> tuple[nn.Module, Step]:
        if kind != "limited":
            module, step = trainee(kind)
            return module.double(), Exact(step)
        supernet = make_supernet()
        return supernet, find("uniform")().step(supernet.space, Limit(supernet.cost, macs="80%"))

    here = assignment(*made())
    packed = assignment(*made()).packed()
    for array in packed.arrays:
        array.flags.writeable = False  # as Ray maps them
    there = Assignment.unpacked(packed)
    assert not hasattr(there.call.data, "validation")
    histories = [one.fit(Runtime(evaluate=one.evaluate)) for one in (here, there)]
    assert [(row.loss, row.metrics) for row in histories[0]] == [(row.loss, row.metrics) for row in histories[1]]
    assert same_weights(here.call.module, there.call.module)
