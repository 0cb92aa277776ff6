"""What a model makes of each input alone has the mean of what it makes of all together."""

from __future__ import annotations

from statistics import fmean
from unittest.mock import Mock

import pytest
import torch
from training_fakes import make_data, make_net

from nas.evaluation import evaluate
from nas.evaluation.per_input import losses_of_each, metrics_of_each
from nas.tasks.classification import Classification


def test_means_are_those_of_the_whole_split() -> None:
    task, test, net = Classification(), make_data().test, make_net().train()
    whole = evaluate(net, test, task).metrics
    before = torch.random.get_rng_state()
    losses, metrics = losses_of_each(net, test, task, device="cpu"), metrics_of_each(net, test, task, device="cpu")
    assert torch.equal(before, torch.random.get_rng_state()), "what comes after draws as it would have"
    assert len(losses) == len(test) == len(metrics["accuracy"])
    assert set(metrics["accuracy"]) <= {0.0, 1.0}
    assert {name: fmean(values) for name, values in metrics.items()} == pytest.approx(whole, rel=1e-5)
    assert losses == metrics["loss"]
    assert len(set(losses)) > 1
    assert net.training


def test_the_model_sees_many_together_where_rows_can_be_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    task, test, net = Classification(), make_data().test, make_net().eval()
    together, counted = Mock(side_effect=net), Mock(side_effect=net)
    losses = losses_of_each(together, test, task, device="cpu", batch=len(test) - 1)
    assert together.call_count == 2
    monkeypatch.setattr(Classification, "row_by_row", False)
    assert losses_of_each(counted, test, task, device="cpu") == pytest.approx(losses, rel=1e-5)
    assert counted.call_count == len(test)
