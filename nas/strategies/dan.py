"""DAN: differentiable adjoined networks (Goel, MSc thesis, Arizona State University 2023, section 3.3).

Every choice has preferences eta over its values; a step runs the whole network (p) and the mixture (q) of all values
with weights g = softmax((eta + noise) / tau), in one pass each, and minimises

    criterion(p) + lambda(t) (divergence(p, q) + gamma n(g)),   lambda(t) = min(4 t^2, 1),

where criterion and divergence are the task's (the thesis: cross-entropy and Kullback-Leibler), and n is the expected
price over that of the base model (the thesis's gamma is on raw MACs). Ours differs: the price is what the study limits,
be it MACs or milliseconds; Gumbel noise instead of normal noise by default; a rate of its own for eta; and the final
architecture is the most probable one within the limit instead of the argmax of whatever gamma led to. Whether attention
and MLP of a block share their weights is the space's matter: `divide: [heads, mlp]` ties them, two choices do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Annotated, Any, ClassVar, Literal, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from nas import quantities
from nas.documents.conditions import Above, ReadWith
from nas.errors import LimitError, QuantityError, StrategyError
from nas.numbers import Positive, Weight, above
from nas.quantities import Multiple
from nas.search.nested_gates import NestedGates, refuse_inexact
from nas.search.problem import Problem
from nas.search.relaxed import Relaxed, noise_generator
from nas.supernets import Supernet
from nas.supernets.cost import Cost
from nas.supernets.of_space import cost_of, table_of
from nas.tasks import Batch
from nas.training import Recipe, StepContext, ramp
from nas.training.objectives.relaxation import Relaxation

Noise = Literal["gumbel", "normal", "none"]
PRICE = "macs"
"""What the penalty counts where the study limits it, or limits nothing: the thesis's choice."""
SHORT = Recipe(epochs=2, batch=16, warmup=0)


@final
@dataclass(frozen=True, kw_only=True)
class Dan(Relaxed):
    """Preferences over the values of each choice, learned through a Gumbel-softmax.

    gamma        weight of the expected price, as a share of the base model's
    price        the cost that this counts: macs, latency, bit_operations ...; by default the MACs, where the study
                 limits them or nothing, else the first cost that it limits
    target       share of the base model's price to aim at, or "limit" for the study's: the penalty is then
                 gamma |n - target|
    noise        gumbel (samples of the softmax), normal (the thesis), none
    temperature  tau at the start and at the end, exponential in between
    hard         straight-through: forward the sampled value alone, gradients of the softmax
    detach       the divergence does not pull the whole network
    small_ce     the mixture also learns from the targets
    """

    gamma: Weight = 1.0
    price: Annotated[str | None, ReadWith(Above("gamma", 0))] = None
    target: Annotated[Annotated[float, above(0, 1)] | Literal["limit"] | None, ReadWith(Above("gamma", 0))] = None
    noise: Noise = "gumbel"
    temperature: tuple[Positive, Positive] = (5.0, 0.1)
    hard: bool = False
    detach: bool = False
    small_ce: bool = False

    compares: ClassVar[bool] = True
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"training": SHORT, "target": "limit"},
        {"training": SHORT, "noise": "normal", "hard": True, "detach": True, "small_ce": True},
    )

    def check(self, problem: Problem) -> None:
        """Raise `StrategyError` for a space whose values cannot be mixed, a price that is no cost of it, or a target
        that the study does not give.
        """
        refuse_inexact(problem.space, table_of(problem.space))
        price = self.price_of(problem)
        if self.price is not None and price not in _bounds(problem):
            _require_counted(price, problem)
        if self.target == "limit" and not isfinite(_most(price, problem)):
            raise StrategyError(
                f"{problem.strategy}: target is 'limit', but the study has no limit on {price}; give it one, such as "
                f"limit: {{{price}: 50%}}, or a target such as 0.5"
            )

    @override
    def parameters(self, problem: Problem) -> dict[str, Tensor]:
        """No preference."""
        return {name: torch.zeros(len(choice.values)) for name, choice in problem.space.items()}

    @override
    def step(self, problem: Problem, relaxation: Relaxation) -> DanStep:
        price = self.price_of(problem)
        return DanStep(self, relaxation, self.target_of(problem, relaxation.supernet.cost), price)

    @override
    def scores(self, problem: Problem, parameters: Mapping[str, Tensor]) -> Sequence[np.ndarray]:
        """Log-probabilities, so that the best sum is the most probable architecture."""
        return [parameters[name].double().log_softmax(0).numpy() for name in problem.space]

    @override
    def trajectory(self, problem: Problem, supernet: Supernet, parameters: Mapping[str, Tensor]) -> Mapping[str, float]:
        """Per choice the expected share of units that stay, and the expected share of the base model's price."""
        space, cost, price = supernet.space, supernet.cost, self.price_of(problem)
        shares, weights = {}, {}
        for name, choice in space.items():
            weights[name] = parameters[name].detach().cpu().double().softmax(0)
            full = [sum(space.outline.axes[axis] for axis in size) for size in choice.sizes]
            kept = torch.tensor([sum(size.values()) for size in choice.sizes]) / torch.tensor(full)
            shares[name] = float(weights[name] @ kept.double())
        return {**shares, price: float(cost.expected(price, list(weights.values()))) / cost.base(price)}

    def price_of(self, problem: Problem) -> str:
        """What the penalty counts, by the name under which it is counted: MACs, where FLOPs are asked for."""
        if self.price is not None:
            multiples = (cost for cost in quantities.every_cost() if isinstance(cost, Multiple))
            return next((cost.of for cost in multiples if cost.name == self.price), self.price)
        bounds = _bounds(problem)
        return PRICE if PRICE in bounds else next(iter(bounds), PRICE)

    def target_of(self, problem: Problem, cost: Cost) -> float | None:
        """The target as a share of the base model's price."""
        if self.target != "limit":
            return self.target
        price = self.price_of(problem)
        return _most(price, problem) / cost.base(price)

    def weights_at(self, eta: Tensor, context: StepContext, generator: torch.Generator) -> Tensor:
        """The weights g of one choice (values), at one step."""
        # Hot at first, so that all values get gradients; cold at the end, so that the mixture is nearly one of them.
        start, end = self.temperature
        tau = start * (end / start) ** context.progress
        soft: Tensor = ((eta + _noise(self.noise, eta, generator)) / tau).softmax(0)
        if not self.hard:
            return soft
        # In value it is the picked one alone, since soft cancels; in gradient it is soft, since picked has none.
        picked: Tensor = functional.one_hot(soft.argmax(), len(soft)).to(soft)
        return picked + soft - soft.detach()


@final
class DanStep:
    """The loss of one step (eq. 3.7), with what does not change from step to step."""

    def __init__(self, options: Dan, relaxation: Relaxation, target: float | None = None, price: str = PRICE) -> None:
        supernet = relaxation.supernet
        self.options, self.relaxation, self.target, self.price = options, relaxation, target, price
        self.gates, self.cost = NestedGates(supernet), supernet.cost
        self.base = supernet.cost.base(price)

    def __call__(self, batch: Batch, context: StepContext) -> Iterator[Tensor]:
        """Yields the loss; one part, since the divergence reaches both networks."""
        options, supernet = self.options, self.relaxation.supernet
        generator = noise_generator(context)
        weights = {
            name: options.weights_at(eta, context, generator) for name, eta in self.relaxation.arch_parameters.items()
        }
        # p of the whole network, q of the mixture of all sub-networks; eq. 3.7 ties them by the divergence.
        inputs = context.task.learning_inputs(batch)
        large, mixed = supernet.model(inputs), supernet.relaxed(inputs, self.gates(weights))
        loss = context.criterion(large, batch.targets)
        if options.small_ce:
            loss = loss + context.criterion(mixed, batch.targets)
        pull = context.task.divergence(context.task.detached(large) if options.detach else large, mixed)
        yield loss + ramp(context.progress) * (pull + options.gamma * self.penalty(list(weights.values())))

    def penalty(self, weights: Sequence[Tensor]) -> Tensor:
        """Expected price over the base model's, or its distance from the target.

        The choices are drawn independently, so the mean over all architectures is exact: no architecture is sampled for
        it, and it has no noise but that of the weights themselves.
        """
        share = self.cost.expected(self.price, weights) / self.base
        return share if self.target is None else (share - self.target).abs()


def _bounds(problem: Problem) -> Mapping[str, tuple[float, float]]:
    """Counted quantity -> least and greatest value allowed."""
    return problem.limit.bounds if problem.limit else {}


def _most(price: str, problem: Problem) -> float:
    return _bounds(problem).get(price, (-inf, inf))[1]


def _require_counted(price: str, problem: Problem) -> None:
    """Raise `StrategyError` where a price that the study does not limit is no cost that its space's formulas tell."""
    try:
        cost_of(problem.space).additive(price)
    except (LimitError, QuantityError) as fault:
        raise StrategyError(f"{problem.strategy}: price: {fault}; or what the study limits") from fault


def _noise(kind: Noise, like: Tensor, generator: torch.Generator) -> Tensor:
    """Drawn on the CPU, so that a seed gives the same noise on every device."""
    if kind == "none":
        return torch.zeros_like(like)
    if kind == "normal":
        return torch.randn(like.shape, generator=generator).to(like)
    # -log(-log u) of a uniform u is Gumbel noise: with it, the largest of eta + noise is a sample of softmax(eta). Both
    # logarithms are kept from 0, which u can be, and -log u is where u rounds to 1.
    tiny = torch.finfo(torch.float32).tiny
    uniform = torch.rand(like.shape, generator=generator).clamp_min(tiny)
    return (-(-uniform.log()).clamp_min(tiny).log()).to(like)
