"""Feed-forward networks that run on some tokens only: against the block written out, counted, saved, and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from nas.errors import ConfigError
from nas.importance.patch_impact import PatchImpact
from nas.searchspaces import Architecture, SearchSpace
from nas.supernets import Supernet, build, load, save
from nas.testing.families import images, randomise
from nas.testing.relaxed import Bench

ARGS: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2, "num_classes": 5}
MODELS = [("vit_tiny_patch16_224", ARGS), ("t2t_vit_7", {"img_size": 32, "embed_dim": 16, "depth": 3, "num_heads": 2})]
TEXT = "choices: {ffn_tokens: {keep: [0.0, 0.5, 1.0]}, mlp: {size: [0.5, 1.0]}, fc1: {rank: [0.2, 1.0]}}"


def supernet(model: str, args: dict[str, Any]) -> Supernet:
    space = SearchSpace.from_yaml(f"{{model: {model}, {TEXT}}}", model_args=args)
    return Supernet(randomise(build(model, args)), space).eval()


@torch.no_grad()
def written_out(net: Supernet, x: Tensor, fed: dict[str, list[int]]) -> Tensor:
    """All tokens attend; the feed-forward network's part of the others is left out."""
    model: Any = net.model
    tokens = model.norm_pre(model._pos_embed(model.patch_embed(x)))
    for index, block in model.blocks.named_children():
        tokens = tokens + block.ls1(block.attn(block.norm1(tokens)))
        added = block.ls2(block.mlp(block.norm2(tokens)))
        rows = fed.get(index, list(range(tokens.shape[1])))
        tokens = tokens.clone()
        tokens[:, rows] += added[:, rows]
    logits: Tensor = model.forward_head(model.norm(tokens))
    return logits


@pytest.mark.parametrize(("model", "args"), MODELS)
@torch.no_grad()
def test_the_others_keep_what_attention_gave(model: str, args: dict[str, Any]) -> None:
    net, x = supernet(model, args), images(args)
    tokens = net.table.frame.axes["tokens.0"]
    net.reorder({"ffn_tokens.1": torch.rand(tokens, generator=torch.Generator().manual_seed(0))})
    whole = dict(net.space.largest)
    some = Architecture({**whole, "ffn_tokens.1": 0.5, "ffn_tokens.2": 0.0})
    kept = net.selection.kept(net.space.sizes(some))
    assert kept["ffn_tokens.2"].tolist() == [0], "the class token is always fed"
    assert len(kept["ffn_tokens.1"]) == 1 + -(-(tokens - 1) // 2)
    expected = written_out(net, x, {"1": kept["ffn_tokens.1"].tolist(), "2": [0]})
    torch.testing.assert_close(net(x, some), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(net(x, net.space.largest), net.model(x))


@pytest.mark.parametrize(("model", "args"), MODELS)
def test_extracted_counted_saved_and_trained(model: str, args: dict[str, Any], tmp_path: Path) -> None:
    """What every family is asked of its axes: to the last bit, and to the last unit."""
    net, x = supernet(model, args), images(args, 1)
    table = [net.space.smallest, Architecture({**net.space.largest, "ffn_tokens.0": 0.5, "ffn_tokens.1": 0.5,
                                               "ffn_tokens.2": 0.5, "fc1.1": 0.2})]  # fmt: skip
    for number, architecture in enumerate(table):
        small = net.extract(architecture)
        with torch.no_grad():
            # Few rows are multiplied by other kernels, to which it matters how factors lie in memory: five images.
            five = images(args, 5)
            assert torch.equal(small(five), net(five, architecture))
            with FlopCounterMode(display=False) as counter:
                small(x)
        assert 2 * net.cost.macs(architecture)[0] == counter.get_total_flops()
        assert net.cost.params(architecture)[0] == sum(p.numel() for p in small.parameters())
        assert {type(module).__module__.split(".")[0] for module in small.blocks.modules()} <= {"timm", "torch"}
        save(tmp_path / str(number), small, net.blueprint(architecture))
        with torch.no_grad():
            assert torch.equal(load(tmp_path / str(number))(x), small(x))
            subnet, y = net.subnet(architecture), x
            for _, step in net.steps(subnet, architecture):
                y = step.run(y)
            assert torch.equal(y, subnet(x))
    net(images(args), net.space.smallest).square().sum().backward()
    gradient = net.model.get_parameter("blocks.0.mlp.fc1.weight").grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("other", ["tokens", "queries"])
def test_a_space_chooses_one_kind_of_tokens(other: str) -> None:
    text = (
        f"{{model: vit_tiny_patch16_224, choices: {{ffn_tokens: {{keep: [0.5, 1.0]}}, {other}: {{keep: [0.5, 1.0]}}}}}}"
    )
    with pytest.raises(ConfigError, match=rf"sizes of ffn_tokens\.0, while '{other}' sets {other}\.0"):
        SearchSpace.from_yaml(text)


def test_windowed_models_feed_all_tokens() -> None:
    with pytest.raises(ConfigError, match="unknown axis 'ffn_tokens'"):
        SearchSpace.from_yaml("{model: swin_tiny_patch4_window7_224, choices: {ffn_tokens: {keep: [0.5, 1.0]}}}")


def test_impacts_order_them_by_their_own_block() -> None:
    bench = Bench("tokens")
    space = SearchSpace.from_yaml(
        f"{{model: {bench.supernet.space.model}, choices: {{ffn_tokens: {{keep: [0.5, 1.0]}}}}}}",
        model_args=bench.supernet.space.model_args,
    )
    net, options = Supernet(bench.supernet.model, space), PatchImpact(images=16)
    scores, others = options.score(net, bench.work).scores, options.score(bench.supernet, bench.work).scores
    assert torch.equal(scores["ffn_tokens.0"], others["queries.0"])
