"""L1 gates on spaces of which only some axes can have a gate."""

from __future__ import annotations

import pytest
import torch

from nas.errors import StrategyError
from nas.importance.l1_gates import L1Gates, L1Step
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet, build
from nas.supernets.slicing import Where
from nas.testing.families import randomise
from nas.testing.relaxed import SPACES, noise_data
from nas.training import Recipe, Runtime
from nas.training.objectives.relaxation import Relaxation, relax
from nas.training.workplace import Workplace

MODEL = "vit_tiny_patch16_224"
ARGS = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 4, "num_classes": 3}


@pytest.mark.parametrize(
    ("where", "choices"),
    [
        ("produced", "mlp: {size: [32, 64]}, depth: {depth: [1, 2]}"),
        ("consumed", "mlp: {size: [32, 64]}, depth: {depth: [1, 2]}"),
        ("consumed", "mlp: {size: [32, 64]}, head_dim: {size: [2, 4]}"),
        ("produced", "mlp: {size: [32, 64]}, fc1_in: {size: [8, 16]}"),
    ],
)
def test_what_has_no_gate_has_no_score(where: Where, choices: str) -> None:
    """Blocks, head dimensions as inputs, and inputs as outputs keep their order; the rest is scored."""
    space = SearchSpace.from_yaml(f"{{model: {MODEL}, choices: {{{choices}}}}}", model_args=ARGS)
    supernet = Supernet(randomise(build(MODEL, ARGS)), space)
    work = Workplace(noise_data(), 0, Runtime(progress=False))
    scored = L1Gates(training=Recipe(epochs=1, batch=24, warmup=0), where=where).apply(supernet, work)
    assert set(scored.scores) == {"mlp.0", "mlp.1"}
    for scores in scored.scores.values():
        assert scores.shape == (64,)
        assert bool((scores >= 0).all())
        assert bool((scores.diff() <= 0).all())


@pytest.mark.parametrize("kind", ["vit", "swin"])
@torch.no_grad()
def test_gates_of_channels_by_hand(kind: str) -> None:
    """A gate for each dimension of each head multiplies its query, key and value, as rows of the joint projection."""
    net, packed, path = attending(kind)
    heads, dims = (net.table.frame.full(part) for part in packed.split())
    values = torch.rand(heads * dims, generator=torch.Generator().manual_seed(0)) + 0.5
    whole = net.model.get_submodule(path)
    gated = net.relaxed_model({packed: values}, "produced").get_submodule(path)
    for name in ("weight", "bias"):
        expected = torch.cat([part * values.reshape([-1] + [1] * (part.dim() - 1)) for part in
                              whole.get_parameter(name).chunk(3)])  # fmt: skip
        torch.testing.assert_close(getattr(gated, name), expected)


@pytest.mark.parametrize("kind", ["vit", "swin"])
@torch.no_grad()
def test_dimensions_are_sorted_in_each_head_by_itself(kind: str) -> None:
    """The function stays; what a size keeps is each head's own best."""
    net, packed, path = attending(kind)
    x = torch.randn(2, 3, *net.family.image_size(net.model), generator=torch.Generator().manual_seed(0))
    before, rows = net.model(x), net.model.get_submodule(path).get_parameter("weight").clone()
    heads, dims = (net.table.frame.full(part) for part in packed.split())
    scores = torch.rand(heads, dims, generator=torch.Generator().manual_seed(1))
    net.sort_within({packed: scores.flatten()})
    torch.testing.assert_close(net.model(x), before, rtol=1e-4, atol=1e-4)
    queries = rows.chunk(3)[0].reshape(heads, dims, -1)
    for head in range(heads):
        first = net.model.get_submodule(path).get_parameter("weight").chunk(3)[0].reshape(heads, dims, -1)[head]
        torch.testing.assert_close(first, queries[head][scores[head].argsort(descending=True)])


def attending(kind: str) -> tuple[Supernet, str, str]:
    """A supernet that chooses head dimensions, the packed name of its first block's, and the path of the projection."""
    text = SPACES[kind]
    space = SearchSpace.from_yaml(text[: text.index("choices:")] + "choices: {head_dim: {size: [0.5, 1.0]}}}")
    net = Supernet(randomise(build(space.model, space.model_args)), space).eval()
    index, path = next(iter(net.table.frame.blocks.items()))
    return net, f"heads.{index} head_dim.{index}", f"{path}.attn.qkv"


def test_channels_score_by_the_mean_of_the_heads_own_order() -> None:
    space = SearchSpace.from_yaml(f"{{model: {MODEL}, choices: {{head_dim: {{size: [2, 4]}}}}}}", model_args=ARGS)
    supernet = Supernet(randomise(build(MODEL, ARGS)), space)
    work = Workplace(noise_data(), 0, Runtime(progress=False))
    recipe = Recipe(epochs=1, batch=24, warmup=0)
    options = L1Gates(training=recipe, gate_lr=0.05, attention="channel")
    scored = options.apply(supernet, work)
    assert set(scored.scores) == {"head_dim.0", "head_dim.1"}
    assert all(bool((scores.diff() <= 0).all()) for scores in scored.scores.values())
    assert set(scored.history[-1].metrics) == {"head_dim.0", "head_dim.1"}
    # By hand: the same training gives the gates, four of each of four heads.
    again = Supernet(randomise(build(MODEL, ARGS)), space)
    relaxation = Relaxation(again, {"heads.0 head_dim.0": torch.ones(16), "heads.1 head_dim.1": torch.ones(16)},
                            options.gate_lr / recipe.peak_lr)  # fmt: skip
    relax(relaxation, L1Step(options, relaxation), work, recipe, lambda _: {})
    gates = relaxation.arch_parameters["heads.0 head_dim.0"].detach().abs().reshape(4, 4).tolist()
    expected = [sum(sorted(head, reverse=True)[k] for head in gates) / 4 for k in range(4)]
    torch.testing.assert_close(scored.scores["head_dim.0"], torch.tensor(expected))


def test_channels_need_head_dimensions() -> None:
    space = SearchSpace.from_yaml(f"{{model: {MODEL}, choices: {{mlp: {{size: [32, 64]}}}}}}", model_args=ARGS)
    with pytest.raises(StrategyError, match="attention: channel, and the space chooses no head_dim"):
        L1Gates(attention="channel").check(space)
