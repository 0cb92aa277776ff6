"""Gradient surgery: what conflicts is taken away, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.training.projection import projected, surgery


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_gradients_that_agree_stay_and_those_that_conflict_lose_their_share() -> None:
    along, across, against = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]), torch.tensor([-1.0, 1.0])
    agreed = surgery([along, across], rng())
    assert torch.equal(torch.stack(agreed), torch.stack([along, across]))
    first, second = surgery([along, against], rng())
    torch.testing.assert_close(first, torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(second, torch.tensor([0.0, 1.0]))
    assert float(first @ against) == pytest.approx(0, abs=1e-7)
    assert float(second @ along) == pytest.approx(0, abs=1e-7)


def test_a_part_that_wants_nothing_changes_nothing() -> None:
    one, nothing = torch.tensor([1.0, -2.0]), torch.zeros(2)
    assert torch.equal(torch.stack(surgery([one, nothing], rng())), torch.stack([one, nothing]))


def test_what_no_part_uses_has_no_gradient() -> None:
    net = nn.ModuleDict({"used": nn.Linear(2, 1, bias=False), "idle": nn.Linear(2, 1, bias=False)})

    def parts() -> list[Tensor]:
        return [net["used"](torch.ones(2)).sum(), net["used"](torch.tensor([1.0, 3.0])).sum()]

    loss = projected(iter(parts()), net, rng())
    loss.backward()  # type: ignore[no-untyped-call]
    assert net["idle"].weight.grad is None
    torch.testing.assert_close(net["used"].weight.grad, torch.tensor([[2.0, 4.0]]))
    assert float(loss.detach()) == pytest.approx(float(sum(part.detach() for part in parts())))
