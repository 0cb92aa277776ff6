"""Metrics of a model and of sub-networks."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from training_fakes import FakeSupernet, make_data, make_net, noting

from nas.data import Split
from nas.evaluation import Evaluation, Evaluator, evaluate, evaluator
from nas.searchspaces.architecture import Architecture
from nas.tasks.classification import Classification

TASK = Classification()


class Fixed(nn.Module):
    """Says class 0 with logit 2, always."""

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        assert torch.is_inference_mode_enabled()
        return torch.tensor([2.0, 0.0, 0.0]).expand(len(x), 3)


def test_metrics_by_hand_whatever_the_batch() -> None:
    test = make_data().test  # 12 images, 4 of each class
    right, wrong = 2.0 - torch.logsumexp(torch.tensor([2.0, 0, 0]), 0), -torch.logsumexp(torch.tensor([2.0, 0, 0]), 0)
    model = Fixed().train()
    for batch in (5, 12, 100):
        measured = evaluate(model, test, TASK, batch=batch)
        loss = pytest.approx(-float(right + 2 * wrong) / 3, rel=1e-5)
        assert (measured.metrics, measured.n) == ({"accuracy": 4 / 12, "loss": loss}, 12)
    assert model.training


def test_a_function_can_be_measured_too() -> None:
    net = make_net().eval()
    assert evaluate(lambda x: net(x), make_data().test, TASK) == evaluate(net, make_data().test, TASK)


def test_stages_see_growing_shares_and_end_with_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    net, split, small = FakeSupernet(), make_data().test, Architecture({"width": 2})
    for cached in (2**30, 0):
        monkeypatch.setattr(evaluator, "CACHED", cached)
        measure = Evaluator(cast(Any, net), split, TASK, batch=4)
        quarter, half, whole = measure.stages(small, (0.25, 0.5, 1.0))
        assert [part.n for part in (quarter, half, whole)] == [3, 6, 12]
        assert quarter == evaluate(net.subnet(small), split.between(0, 3), TASK)
        assert whole.metrics == pytest.approx(measure(small).metrics, rel=1e-6)


def test_evaluator_makes_the_slices_once_and_normalises_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net, split = FakeSupernet(), make_data().test
    made: list[Architecture] = []
    subnet = net.subnet
    monkeypatch.setattr(net, "subnet", lambda a: noting(made, a, subnet(a)))
    small = Architecture({"width": 2})
    normalised: list[int] = []
    original = Split.normalised
    monkeypatch.setattr(Split, "normalised", lambda self, x: noting(normalised, len(x), original(self, x)))
    for cached, expected_batches in ((2**30, 1), (0, 6)):
        monkeypatch.setattr(evaluator, "CACHED", cached)
        normalised.clear()
        measure = Evaluator(cast(Any, net), split, TASK, batch=4)
        results = [measure(small), measure(small)]
        assert len(normalised) == expected_batches
        assert results[0] == results[1] == evaluate(subnet(small), split, TASK, batch=4)
        assert isinstance(results[0], Evaluation)
    assert made == [small] * 4
