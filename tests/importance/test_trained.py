"""Criteria that look at data: Taylor against finite differences, L1 gates folded and cut."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from nas.errors import StrategyError
from nas.importance.l1_gates import L1Gates
from nas.importance.taylor import Taylor
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet, build
from nas.supernets.slicing import Where
from nas.tasks import Batch
from nas.tasks.classification import Classification
from nas.testing.families import randomise
from nas.testing.relaxed import Bench
from nas.training import Recipe, Runtime
from nas.training.workplace import Workplace

ARGS = {
    "vit": ("vit_tiny_patch16_224", {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 4}),
    "swin": (
        "swin_tiny_patch4_window7_224",
        {"img_size": 16, "patch_size": 2, "window_size": 4, "embed_dim": 16, "depths": (1, 1), "num_heads": (2, 4)},
    ),
}
SITES: dict[str, tuple[Where, str]] = {
    "sidt": ("produced", "head_dim: {size: [0.5, 1.0]}, mlp: {size: [0.25, 0.5, 1.0]}"),
    "heads": ("produced", "heads: {size: [0.5, 1.0]}, mlp: {size: [0.5, 1.0]}"),
    "vtp": ("consumed", "inputs: {size: [0.5, 0.75, 1.0], of: [qkv_in, proj_in, fc1_in, fc2_in]}"),
    "hidden": ("consumed", "heads: {size: [0.5, 1.0]}, mlp: {size: [0.5, 1.0]}"),
}


@pytest.mark.parametrize("kind", ARGS)
@pytest.mark.parametrize("sites", SITES)
def test_extracted_is_masked_with_signed_gates(kind: str, sites: str) -> None:
    """Gates of either sign, folded and cut, compute what the gated model does with the cut units' gates at 0."""
    (model, args), (where, choices) = ARGS[kind], SITES[sites]
    space = SearchSpace.from_yaml(f"{{model: {model}, choices: {{{choices}}}}}", model_args=args)
    supernet = Supernet(randomise(build(model, args)), space)
    generator = torch.Generator().manual_seed(0)
    gates = {a: torch.randn(supernet.table.frame.axes[a], generator=generator) for a in sorted(space.axes)}
    x = torch.randn(3, 3, 16, 16, generator=generator)
    architecture = space.smallest
    masked = {}
    for axis, gate in gates.items():
        best = torch.argsort(gate.abs(), descending=True)[: space.sizes(architecture)[axis]]
        masked[axis] = torch.zeros_like(gate).index_copy(0, best, gate[best])
    with torch.no_grad():
        expected = supernet.relaxed(x, masked, where)
        supernet.fold(gates, where)
        supernet.reorder({axis: gate.abs() for axis, gate in gates.items()})
        logits = supernet.extract(architecture)(x)
        assert (expected - supernet.model(x)).abs().max() > 1e-3, "something was cut"
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def workplace(bench: Bench) -> Workplace:
    return Workplace(bench.data, 0, Runtime(progress=False))


def test_gates_shrink_under_their_penalty_and_scores_are_what_was_folded() -> None:
    recipe = Recipe(epochs=6, batch=16, lr=1e-3, warmup=0)
    means = []
    for gamma in (0.0, 1.0):
        bench = Bench("vit")
        scored = L1Gates(training=recipe, gate_lr=0.05, gamma=gamma).score(bench.supernet, workplace(bench))
        means.append(torch.cat(list(scored.scores.values())).mean())
        assert set(scored.scores) == bench.supernet.space.axes
        assert len(scored.history) == 6
        last = scored.history[-1].metrics
        for axis, scores in scored.scores.items():
            assert last[axis] == pytest.approx(float(scores.mean()), rel=1e-5)
    assert means[1] < 0.6 * means[0]


def test_gates_need_axes_that_have_some() -> None:
    model, args = ARGS["vit"]
    space = SearchSpace.from_yaml(f"{{model: {model}, choices: {{head_dim: {{size: [2, 4]}}}}}}", model_args=args)
    L1Gates().check(space)
    with pytest.raises(StrategyError, match="none of which has a gate where it is consumed"):
        L1Gates(where="consumed").check(space)
    with pytest.raises(StrategyError, match="chooses depth"):
        L1Gates().check(
            SearchSpace.from_yaml(f"{{model: {model}, choices: {{depth: {{depth: [1, 2]}}}}}}", model_args=args)
        )


@pytest.mark.parametrize("kind", ["vit", "swin"])
def test_taylor_is_the_first_order_change_of_the_loss(kind: str) -> None:
    bench = Bench(kind)
    supernet = bench.supernet.double()
    batch = next(bench.data.train.batches(16))
    x, y = batch.inputs.double(), batch.targets
    assert isinstance(y, torch.Tensor)
    changes = Taylor()._changes(supernet, Batch(x, y), Classification())
    axis = next(axis for axis in changes if axis.startswith("mlp"))
    block = supernet.table.frame.blocks[axis.partition(".")[2]]
    step = 1e-5

    def loss(unit: int, factor: float) -> float:
        mlp = supernet.model.get_submodule(f"{block}.mlp")
        parts = [mlp.get_parameter("fc1.weight")[unit], mlp.get_parameter("fc1.bias")[unit : unit + 1],
                 mlp.get_parameter("fc2.weight")[:, unit]]  # fmt: skip
        with torch.no_grad():
            before = [part.clone() for part in parts]
            for part in parts:
                part.mul_(factor)
            changed = float(cross_entropy(supernet.model(x), y))
            for part, value in zip(parts, before, strict=True):
                part.copy_(value)
        return changed

    for unit in (0, 3, 7):
        slope = (loss(unit, 1 + step) - loss(unit, 1 - step)) / (2 * step)
        assert float(changes[axis][unit]) == pytest.approx(slope, rel=1e-4, abs=1e-9)


def test_taylor_leaves_the_supernet_as_it_was() -> None:
    bench = Bench("vit")
    bench.supernet.train()
    before = {name: value.clone() for name, value in bench.supernet.state_dict().items()}
    scored = Taylor(images=20, batch=8).score(bench.supernet, workplace(bench))
    assert set(scored.scores) == bench.supernet.space.axes
    assert all(bool((scores >= 0).all()) for scores in scored.scores.values())
    assert bench.supernet.training
    assert all(torch.equal(value, before[name]) for name, value in bench.supernet.state_dict().items())
    assert all(parameter.grad is None for parameter in bench.supernet.parameters())
