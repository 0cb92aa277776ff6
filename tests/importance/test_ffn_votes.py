"""Votes of products: counted one by one, on ViT and Swin; the paper's stages."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from nas.errors import StrategyError
from nas.importance._recording import calibration, recorded
from nas.importance.ffn_votes import FfnVotes, irregular
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet, build
from nas.testing.families import randomise
from nas.testing.relaxed import SPACES, Bench


def supernet(kind: str, choices: str) -> tuple[Supernet, Bench]:
    text = SPACES[kind]
    space = SearchSpace.from_yaml(text[: text.index("choices:")] + f"choices: {choices}}}")
    return Supernet(randomise(build(space.model, space.model_args)), space).eval(), Bench(kind)


@pytest.mark.parametrize("kind", ["vit", "swin"])
def test_votes_are_counted_product_by_product(kind: str) -> None:
    net, bench = supernet(kind, "{mlp: {size: [0.5, 1.0]}}")
    path = "blocks.1" if kind == "vit" else "layers.1.blocks.0"
    layer = net.model.get_submodule(f"{path}.mlp.fc2")
    votes, outputs = FfnVotes(images=20, batch=7, spread=0.5).votes(net, bench.work)
    images = torch.cat(list(calibration(bench.work, 20, 20)))
    with torch.no_grad(), recorded([layer]) as inputs:
        net.model(images)
        x = inputs[layer]
        token = x[:, 0] if kind == "vit" else x.flatten(1, -2).mean(1)
        weight = layer.get_parameter("weight")
        least = weight.abs().mean() + 0.5 * weight.abs().std()
        counted = ((token[:, None, :] * weight).abs() >= least).sum(0)
        expected = layer(token).abs().sum(0)
    cast = votes[f"{path}.mlp.fc2"]
    assert 0 < float(cast.mean()) < 20
    assert (cast - counted).abs().max() <= 1, "rounding at the threshold may move one vote"
    assert float((cast != counted).float().mean()) < 0.01
    torch.testing.assert_close(outputs[f"{path}.mlp.fc2"], expected, rtol=1e-4, atol=1e-4)


def test_scores_are_sums_of_votes_and_critical_outputs_choose_among_them() -> None:
    net, bench = supernet("vit", "{fc1_in: {size: [0.5, 1.0]}, mlp: {size: [0.5, 1.0]}}")
    options = FfnVotes(images=20, spread=0.0)
    votes, _ = options.votes(net, bench.work)
    scores = options.score(net, bench.work).scores
    assert set(scores) == {"fc1_in.0", "fc1_in.1", "mlp.0", "mlp.1"}
    torch.testing.assert_close(scores["mlp.1"], votes["blocks.1.mlp.fc2"].sum(0))
    torch.testing.assert_close(scores["fc1_in.0"], votes["blocks.0.mlp.fc1"].sum(0))
    few = FfnVotes(images=20, spread=0.0, critical=0.25).score(net, bench.work).scores
    hidden = few["mlp.0"].topk(16).indices
    torch.testing.assert_close(few["fc1_in.0"], votes["blocks.0.mlp.fc1"][hidden].sum(0))


@torch.no_grad()
def test_a_shared_order_needs_no_gather() -> None:
    """The embedding is sorted once, the function stays, and layers read their first channels as a view."""
    choices = "{fc1_in: {size: [0.5, 1.0]}}"
    net, bench = supernet("vit", choices)
    x = next(bench.data.train.batches(4)).inputs
    before = net(x, net.space.largest)
    scores = FfnVotes(images=20, shared=True).apply(net, bench.work).scores
    assert torch.equal(scores["fc1_in.0"], scores["fc1_in.1"])
    torch.testing.assert_close(net(x, net.space.largest), before, rtol=1e-4, atol=1e-4)
    small = net.extract(net.space.smallest)
    assert not [name for name, _ in small.named_buffers() if name.endswith("index")]
    own, _ = supernet("vit", choices)
    FfnVotes(images=20).apply(own, bench.work)
    gathers = [name for name, _ in own.extract(own.space.smallest).named_buffers() if name.endswith("index")]
    assert len(gathers) == 2


@pytest.mark.parametrize("kind", ["vit", "swin"])
def test_outputs_decide_for_the_top_class(kind: str) -> None:
    """By hand: what the score of the top class loses per image when an output of the token that votes is made less."""
    net, bench = supernet(kind, "{mlp: {size: [0.5, 1.0]}}")
    path = "blocks.1.mlp.fc2" if kind == "vit" else "layers.1.blocks.0.mlp.fc2"
    decisive = FfnVotes(images=6, batch=4).decisive(net, bench.work)
    images = torch.cat(list(calibration(bench.work, 6, 6))).double()
    model = copy.deepcopy(net.model).double()
    layer = model.get_submodule(path)
    expected = []
    with torch.no_grad():
        top = model(images).argmax(1)
        for unit in (0, 3):

            def shrink(_: nn.Module, __: object, output: Tensor, unit: int = unit) -> Tensor:
                less = output.clone()
                voting = (slice(None), 0) if kind == "vit" else (...,)
                less[(*voting, unit)] *= 1 - 1e-6
                return less

            before = model(images)
            hook = layer.register_forward_hook(shrink)
            after = model(images)
            hook.remove()
            lost = (before - after).gather(1, top[:, None])[:, 0] / 1e-6
            expected.append(lost.abs().sum())
    torch.testing.assert_close(decisive[path][[0, 3]].double(), torch.stack(expected), rtol=1e-3, atol=1e-6)


def test_top_class_chooses_the_critical_outputs() -> None:
    net, bench = supernet("vit", "{fc1_in: {size: [0.5, 1.0]}, mlp: {size: [0.5, 1.0]}}")
    options = FfnVotes(images=20, spread=0.0, critical=0.25, critical_by="top_class")
    votes, _ = options.votes(net, bench.work)
    critical = options.decisive(net, bench.work)["blocks.0.mlp.fc2"]
    chosen = critical.topk(round(0.25 * len(critical))).indices
    hidden = votes["blocks.0.mlp.fc2"][chosen].sum(0)
    torch.testing.assert_close(options.score(net, bench.work).scores["mlp.0"], hidden)
    assert not options.blockwise, "later blocks have a say: no gradual retraining"
    assert FfnVotes(critical=0.25).blockwise


def test_irregular_masks_keep_the_share_of_every_output() -> None:
    votes = torch.rand(6, 10, generator=torch.Generator().manual_seed(0))
    mask = irregular(votes, 0.6)
    assert torch.equal(mask.sum(1), torch.full((6,), 6.0))
    assert (votes * mask).sum() >= (votes * irregular(-votes, 0.6)).sum()
    best = votes[0].topk(6).indices
    assert mask[0, best].all()


def test_nothing_to_score_is_refused() -> None:
    space = SearchSpace.from_yaml("{model: vit_tiny_patch16_224, choices: {heads: {size: [1, 3]}}}")
    with pytest.raises(StrategyError, match="chooses heads; it scores fc1_in, mlp, fc2_in"):
        FfnVotes().check(space)


def test_hidden_units_with_gates_are_refused() -> None:
    args = {"img_size": 16, "patch_size": 8, "embed_dim": 12, "depth": 1, "num_heads": 2, "num_classes": 4}
    for name in ("aimv2_large_patch14_224", "vit_giant_patch14_dinov2"):
        space = SearchSpace.from_yaml(f"{{model: {name}, choices: {{mlp: {{size: [0.5, 1.0]}}}}}}", model_args=args)
        gated = Supernet(build(name, args), space)
        with pytest.raises(StrategyError, match="multiplied by gates"):
            FfnVotes().score(gated, Bench("vit").work)
