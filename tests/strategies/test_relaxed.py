"""The gradient half, with a tiny strategy on a fake supernet: what the loop promises to whoever writes a method."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import Parameter

from nas.errors import TrainingError
from nas.searchspaces.limit import Limit
from nas.strategies import Problem
from nas.strategies.relaxed import Moment, Relaxed, nested_gates
from nas.testing.toy import BLOCKS, Toy
from nas.training.data import Split


class FakeSupernet(nn.Module):
    """Logits of two classes whose margin is the sum of the gated units' weights: the first 64 of even blocks help."""

    def __init__(self) -> None:
        super().__init__()
        helps = torch.full((BLOCKS, 192), -0.01)
        helps[::2, :64] = 0.05
        self.weight = Parameter(helps)

    def relaxed(self, x: Tensor, gates: Mapping[str, Tensor], where: str = "consumed") -> Tensor:
        margin = sum((gates[f"mlp.{block}"] * self.weight[block]).sum() for block in range(BLOCKS))
        sign = x.mean(dim=(1, 2, 3)).sign()
        return torch.stack([-sign * margin, sign * margin], dim=1)


@dataclass(frozen=True, kw_only=True)
class Tiny(Relaxed):
    """One number per value, their softmax with noise as gates: DAN in small."""

    noise: float = 0.1

    def parameters(self, problem: Problem) -> dict[str, Parameter]:
        return {name: Parameter(torch.zeros(len(choice.values))) for name, choice in problem.space.items()}

    def gates(self, problem: Problem, parameters: Mapping[str, Parameter], moment: Moment) -> Mapping[str, Tensor]:
        assert 0 <= moment.progress < 1
        noisy = {n: p + self.noise * torch.randn(p.shape, generator=moment.generator) for n, p in parameters.items()}
        return nested_gates(problem.space, {n: p.softmax(0) for n, p in noisy.items()})

    def penalty(self, problem: Problem, parameters: Any, gates: Mapping[str, Tensor], moment: Moment) -> Tensor:
        return 1e-4 * torch.stack([gate.sum() for gate in gates.values()]).sum()

    def scores(self, problem: Problem, parameters: Mapping[str, Parameter]) -> Sequence[np.ndarray]:
        return [parameter.detach().double().numpy() for parameter in parameters.values()]


SPACE = "model: toy\nchoices:\n  mlp: {size: [64, 128, 192], per: block}\n"


@pytest.fixture
def problem() -> Problem:
    return make()


def make(history: Sequence[Any] = (), limit: Limit | None = None, seed: int = 0) -> Problem:
    toy = Toy(SPACE)
    problem = toy.problem(trials=4, history=history, limit=limit, seed=seed)
    labels = torch.arange(100) % 2
    images = (labels * 255).to(torch.uint8)[:, None, None, None].expand(100, 1, 4, 4)
    problem.supernet = FakeSupernet()  # type: ignore[assignment]
    problem.train = Split(images, labels, (0.5,), (0.5,))
    return problem


STRATEGY = Tiny(trials=4, lr=0.2, batch=16)


def test_it_finds_what_helps(problem: Problem) -> None:
    trials = list(STRATEGY.search(problem))
    assert len(trials) == 4
    found = trials[-1].architecture
    assert all(found[f"mlp.{block}"] == 64 for block in range(BLOCKS))


def test_the_derived_architecture_is_within_the_limit_and_the_best_there() -> None:
    toy = Toy(SPACE)
    limit = Limit(toy, macs="70%")
    problem = make(limit=limit)
    likes = {name: Parameter(torch.tensor([0.0, 1.0, 2.0]) * (n + 1)) for n, name in enumerate(problem.space)}
    derived = STRATEGY.derive(problem, likes)
    counts = [range(3)] * BLOCKS
    rows = np.array(list(itertools.product(*counts)))
    value = (rows * np.arange(1, BLOCKS + 1)).sum(axis=1)
    best = value[limit.allows(rows)].max()
    assert value[(rows == toy.space.to_table([derived])[0]).all(axis=1)] == best
    assert STRATEGY.derive(make(), likes) == problem.space.largest


def test_a_killed_search_continues_to_the_same_result() -> None:
    whole = list(STRATEGY.search(make()))
    first = list(itertools.islice(STRATEGY.search(make()), 2))
    rest = list(STRATEGY.search(make(history=first)))
    assert [t.architecture for t in [*first, *rest]] == [t.architecture for t in whole]
    assert len(rest) == 2


@pytest.mark.parametrize("weights_lr", [0.0, 0.1])
def test_the_supernet_that_is_measured_stays_as_it_was(weights_lr: float) -> None:
    problem = make()
    assert problem.supernet is not None
    before = {name: value.clone() for name, value in problem.supernet.named_parameters()}
    list(Tiny(trials=1, weights_lr=weights_lr).search(problem))
    for name, value in problem.supernet.named_parameters():
        assert torch.equal(value, before[name])
        assert value.requires_grad
        assert value.grad is None


def test_weights_are_trained_when_they_shall_be() -> None:
    seen: list[Tensor] = []

    @dataclass(frozen=True, kw_only=True)
    class Watching(Tiny):
        def derive(self, problem: Problem, parameters: Any) -> Any:
            seen.append(torch.stack([p.detach().clone() for p in parameters.values()]))
            return super().derive(problem, parameters)

    for rate in (0.0, 0.1):
        list(Watching(trials=4, weights_lr=rate, lr=0.2, batch=16).search(make()))
    assert not torch.equal(seen[3], seen[7])
    assert not torch.equal(seen[0], seen[1])


def test_noise_follows_the_seed() -> None:
    def found(seed: int) -> list[Any]:
        return [t.architecture for t in Tiny(trials=4, lr=0.2, batch=16, noise=20.0).search(make(seed=seed))]

    assert found(0) == found(0)
    assert found(0) != found(1)


def test_a_loss_that_is_no_number_ends_the_search() -> None:
    problem = make()
    assert problem.supernet is not None
    with torch.no_grad():
        next(problem.supernet.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="the loss is nan in epoch 1, step 1"):
        list(STRATEGY.search(problem))


def test_nested_gates_sum_the_values_that_keep_a_unit() -> None:
    space = Toy(SPACE).space
    gates = nested_gates(space, {"mlp.2": torch.tensor([0.2, 0.3, 0.5])})
    assert list(gates) == ["mlp.2"]
    expected = torch.cat([torch.full((64,), 1.0), torch.full((64,), 0.8), torch.full((64,), 0.5)])
    assert torch.allclose(gates["mlp.2"], expected)
