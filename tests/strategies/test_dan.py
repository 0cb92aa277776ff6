"""DAN: the mixture, the noise, the penalty, and what it refuses."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from nas.errors import StrategyError
from nas.search.nested_gates import NestedGates
from nas.searchspaces import Limit, SearchSpace
from nas.strategies.dan import Dan, DanStep
from nas.supernets import Supernet, build
from nas.tasks.classification import Classification
from nas.testing.families import images, make, randomise
from nas.testing.relaxed import Bench
from nas.training import StepContext
from nas.training.objectives.relaxation import Relaxation

VIT = ("vit_tiny_patch16_224", {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 4})
SWIN = ("swin_tiny_patch4_window7_224", {"img_size": 56, "embed_dim": 24, "depths": (2, 2), "num_heads": (2, 4)})


def context(relaxation: Relaxation, progress: float = 0.0) -> StepContext:
    return StepContext(relaxation, Classification(), 0.0, 0, 0, 0, 1, progress)


@pytest.mark.parametrize(("model", "args"), [VIT, SWIN])
@pytest.mark.parametrize("kind", ["alpha", "inputs"])
def test_one_pass_is_the_sum_over_all_values(model: str, args: dict[str, object], kind: str) -> None:
    """Eq. 3.5 for the last block, whose output only norms and the classifier follow; inputs in a remembered order."""
    supernet = make(model, args, kind)
    index, path = list(supernet.table.frame.blocks.items())[-1]
    if kind == "inputs":
        axis = f"fc1_in.{index}"
        supernet.reorder(
            {axis: torch.rand(supernet.table.frame.axes[axis], generator=torch.Generator().manual_seed(3))}
        )
    name, choice = next(
        (n, c) for n, c in supernet.space.items() if f"fc1_in.{index}" in c.axes or n == f"alpha.{index}"
    )
    weights = torch.tensor([0.3, 0.7])
    gates = {a: g for a, g in NestedGates(supernet)(dict.fromkeys(supernet.space, weights)).items() if a in choice.axes}
    gates = {a: g for a, g in gates.items() if a.split(".")[0] in ("mlp", "fc1_in")}

    def mlp(module: torch.nn.Module) -> torch.Tensor:
        seen: list[torch.Tensor] = []
        module.get_submodule(f"{path}.mlp.fc{2 if kind == 'alpha' else 1}").register_forward_hook(
            lambda _module, _inputs, out: seen.append(out)
        )
        module(images(args))
        return seen[0]

    with torch.no_grad():
        parameters = dict(supernet.model.named_parameters())
        axes = list(gates)
        parts = [mlp(supernet._carve(parameters, {a: size[a] for a in axes})) for size in choice.sizes]
        together = weights[0] * parts[0] + weights[1] * parts[1]
        torch.testing.assert_close(mlp(supernet.relaxed_model(gates)), together, rtol=1e-4, atol=1e-5)
    assert name in supernet.space


@pytest.mark.parametrize(("model", "args"), [VIT, SWIN])
def test_one_pass_of_attention_is_the_sum_over_all_heads(model: str, args: dict[str, object]) -> None:
    supernet = make(model, args, "alpha")
    index, path = list(supernet.table.frame.blocks.items())[-1]
    axis, weights = f"heads.{index}", torch.tensor([0.3, 0.7])
    gate = NestedGates(supernet)(dict.fromkeys(supernet.space, weights))[axis]

    def attention(module: torch.nn.Module) -> torch.Tensor:
        seen: list[torch.Tensor] = []
        module.get_submodule(f"{path}.attn").register_forward_hook(lambda _module, _inputs, out: seen.append(out))
        module(images(args))
        return seen[0]

    with torch.no_grad():
        parameters, sizes = dict(supernet.model.named_parameters()), supernet.space[f"alpha.{index}"].sizes
        parts = [attention(supernet._carve(parameters, {axis: size[axis]})) for size in sizes]
        together = weights[0] * parts[0] + weights[1] * parts[1]
        assert (parts[0] - parts[1]).abs().max() > 1e-2
        torch.testing.assert_close(attention(supernet.relaxed_model({axis: gate})), together, rtol=1e-4, atol=1e-5)


def test_expected_cost_is_the_mean_over_all_architectures() -> None:
    bench = Bench("vit")
    space, cost = bench.problem.space, bench.supernet.cost
    generator = torch.Generator().manual_seed(0)
    weights = [torch.rand(n, generator=generator, dtype=torch.float64).softmax(0) for n in space.n_values]
    rows = np.array(list(itertools.product(*map(range, space.n_values))))
    chance = np.prod([w.numpy()[rows[:, i]] for i, w in enumerate(weights)], axis=0)
    for metric in ("macs", "params"):
        mean = float((chance * getattr(cost, metric)(rows)).sum())
        assert float(cost.expected(metric, weights)) == pytest.approx(mean, rel=1e-12)
    row = rows[7]
    hot = [torch.eye(n, dtype=torch.float64)[i] for n, i in zip(space.n_values, row, strict=True)]
    assert int(cost.expected("macs", hot)) == int(cost.macs(row[None])[0])


def test_gumbel_noise_samples_the_softmax_and_normal_noise_does_not() -> None:
    eta = torch.tensor([2.0, 0.0, -1.0])
    generator = torch.Generator().manual_seed(0)
    step = context(None)  # type: ignore[arg-type]

    def shares(noise: str) -> torch.Tensor:
        strategy = Dan(noise=noise, temperature=(1.0, 1.0))  # type: ignore[arg-type]
        picks = [int(strategy.weights_at(eta, step, generator).argmax()) for _ in range(4000)]
        return torch.bincount(torch.tensor(picks), minlength=3) / 4000

    assert (shares("gumbel") - eta.softmax(0)).abs().max() < 0.03
    assert (shares("normal") - eta.softmax(0)).abs().max() > 0.04
    assert shares("none").tolist() == [1, 0, 0]


def test_temperature_falls_exponentially() -> None:
    eta, generator = torch.tensor([1.0, 0.0]), torch.Generator()
    strategy = Dan(noise="none", temperature=(5.0, 0.1))
    for progress, tau in ((0.0, 5.0), (0.5, 0.5**0.5), (1.0, 0.1)):
        found = strategy.weights_at(eta, context(None, progress), generator)  # type: ignore[arg-type]
        torch.testing.assert_close(found, (eta / tau).softmax(0))


def test_hard_weights_are_one_value_with_the_gradient_of_the_softmax() -> None:
    eta = torch.tensor([1.0, 0.0, 0.5], requires_grad=True)
    found = Dan(noise="none", hard=True).weights_at(eta, context(None, 0.5), torch.Generator())  # type: ignore[arg-type]
    torch.testing.assert_close(found.detach(), torch.tensor([1.0, 0.0, 0.0]))
    (found * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert eta.grad is not None
    assert eta.grad.abs().min() > 0


def test_the_loss_begins_with_the_whole_network_and_ends_with_penalty_and_divergence() -> None:
    bench = Bench("vit")
    supernet = bench.supernet
    relaxation = Relaxation(supernet, Dan().parameters(bench.problem), 1.0)
    batch = next(bench.data.train.batches(8))
    (start,) = DanStep(Dan(), relaxation)(batch, context(relaxation))
    assert isinstance(batch.targets, torch.Tensor)
    torch.testing.assert_close(start, cross_entropy(supernet.model(batch.inputs), batch.targets))
    losses = [
        next(DanStep(Dan(noise="none", gamma=gamma), relaxation, target)(batch, context(relaxation, 0.9)))
        for gamma, target in ((0.0, None), (1.0, None), (1.0, 0.25))
    ]
    weights = [value.softmax(0) for value in relaxation.arch_parameters.values()]
    share = supernet.cost.expected("macs", weights) / supernet.cost.base("macs")
    torch.testing.assert_close(losses[1] - losses[0], share)
    torch.testing.assert_close(losses[2] - losses[0], (share - 0.25).abs())


def test_the_derived_architecture_is_the_most_probable_within_the_limit() -> None:
    bench = Bench("vit")
    space = bench.problem.space
    generator = torch.Generator().manual_seed(1)
    eta = {name: torch.randn(len(choice.values), generator=generator) for name, choice in space.items()}
    rows = np.array(list(itertools.product(*map(range, space.n_values))))
    chance = sum(eta[name].log_softmax(0).numpy()[rows[:, i]] for i, name in enumerate(space))
    assert bench.problem.limit is not None
    best = rows[np.where(bench.problem.limit.allows(rows), chance, -np.inf).argmax()]
    assert Dan().derive(bench.problem, eta) == space.from_table(best[None])[0]


@pytest.mark.parametrize(
    "choice", ["head_dim: {size: [2, 4]}", "tokens: {keep: [0.5, 1.0]}", "rank: {rank: [0.5, 1.0], of: [fc1]}"]
)
def test_what_cannot_be_mixed_is_refused(choice: str) -> None:
    model, args = VIT
    space = SearchSpace.from_yaml(f"model: {model}\nchoices:\n  {choice}\n", model_args=args)
    with pytest.raises(StrategyError, match="cannot be mixed in one pass"):
        Dan().check(replace(Bench("vit").problem, space=space))
    with pytest.raises(StrategyError):
        NestedGates(Supernet(randomise(build(model, args)), space))


def test_a_target_of_the_limit_needs_a_limit_on_the_price() -> None:
    problem = Bench("vit").problem
    Dan(target="limit").check(problem)
    for options, limit, absent in (
        ({}, None, "macs"),
        ({}, Limit(Bench("vit").supernet.cost, macs=("30%", None)), "macs"),
        ({"price": "flops"}, Limit(Bench("vit").supernet.cost, params="50%"), "macs"),
        ({"price": "params"}, Limit(Bench("vit").supernet.cost, macs="50%"), "params"),
    ):
        with pytest.raises(StrategyError, match=f"no limit on {absent}; give it one"):
            Dan(target="limit", **options).check(replace(problem, limit=limit))  # type: ignore[arg-type]


def test_the_price_is_what_the_study_limits() -> None:
    """MACs where they are limited, or nothing is; else the first cost that is; or what is asked for."""
    problem, cost = Bench("vit").problem, Bench("vit").supernet.cost
    of_params = replace(problem, limit=Limit(cost, params="50%"))
    assert Dan().price_of(replace(problem, limit=None)) == Dan().price_of(problem) == "macs"
    assert Dan().price_of(of_params) == "params"
    assert Dan(price="flops").price_of(of_params) == "macs"
    Dan(target="limit").check(of_params)
    assert Dan(target="limit").target_of(of_params, cost) == pytest.approx(0.5)
    for price in ("latency", "macks", "throughput"):
        with pytest.raises(StrategyError, match=f"price: .*{price}.*or what the study limits"):
            Dan(price=price).check(problem)


def test_the_penalty_counts_the_price() -> None:
    bench = Bench("vit")
    relaxation = Relaxation(bench.supernet, Dan().parameters(bench.problem), 1.0)
    weights = [value.softmax(0) for value in relaxation.arch_parameters.values()]
    macs, params = (DanStep(Dan(), relaxation, price=price).penalty(weights) for price in ("macs", "params"))
    cost = bench.supernet.cost
    torch.testing.assert_close(params, cost.expected("params", weights) / cost.base("params"))
    assert abs(float(macs.detach() - params.detach())) > 0.01
    by_params = replace(bench.problem, limit=Limit(cost, params="50%"))
    watched = Dan().trajectory(by_params, bench.supernet, relaxation.arch_parameters)
    assert watched["params"] == pytest.approx(float(params.detach()))
    assert "macs" not in watched
