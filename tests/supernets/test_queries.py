"""Blocks that compute some tokens only: the two modes against masks written out, nesting, and saved models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nas.errors import ConfigError
from nas.searchspaces import Architecture, SearchSpace
from nas.supernets import Supernet, build
from nas.testing.families import randomise

ARGS: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2, "num_classes": 5}


def supernet(extra: str = "", **args: Any) -> Supernet:
    text = f"{{model: vit_tiny_patch16_224, choices: {{queries: {{keep: {{from: 1, to: 17, step: 1}}{extra}}}}}}}"
    space = SearchSpace.from_yaml(text, model_args=ARGS | args)
    return Supernet(randomise(build(space.model, space.model_args)), space).eval()


def images() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def kept(net: Supernet, architecture: Architecture) -> list[list[int]]:
    selected = net.selection.kept(net.space.sizes(architecture))
    return [selected[f"queries.{b}"].tolist() if f"queries.{b}" in selected else list(range(17)) for b in range(3)]


@torch.no_grad()
def masked(net: Supernet, x: Tensor, queries: list[list[int]], drop: bool) -> Tensor:
    """The whole model; a block's output replaces its input at the tokens it computes, dropped ones are masked out as
    keys.
    """
    model: Any = net.model
    tokens = model.norm_pre(model._pos_embed(model.patch_embed(x)))
    present = list(range(17))
    for block, rows in zip(model.blocks, queries, strict=True):
        mask = torch.full((17, 17), float("-inf"))
        mask[:, present] = 0
        out = block(tokens, attn_mask=mask)
        tokens = tokens.clone()
        tokens[:, rows] = out[:, rows]
        present = rows if drop else present
    logits: Tensor = model.forward_head(model.norm(tokens))
    return logits


@pytest.mark.parametrize("drop", [False, True])
@torch.no_grad()
def test_both_modes_are_what_masks_give(drop: bool) -> None:
    """Gathers save the work, and nothing else differs from the masked model."""
    net = supernet(", drop: true" if drop else "")
    net.reorder({f"queries.{b}": torch.rand(17, generator=torch.Generator().manual_seed(b)) for b in range(3)})
    for sizes in ([17, 17, 1], [12, 9, 4], [5, 5, 5], [17, 6, 6]):
        architecture = Architecture({f"queries.{b}": size for b, size in enumerate(sizes)})
        expected = masked(net, images(), kept(net, architecture), drop)
        torch.testing.assert_close(net(images(), architecture), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_registers_are_keys_that_nobody_reads() -> None:
    """The head reads the class token alone: registers may be left uncomputed in the last block, and be dropped."""
    text = "{model: vit_tiny_patch16_224, choices: {queries: {keep: {from: 1, to: 19, step: 1}, drop: true}}}"
    space = SearchSpace.from_yaml(text, model_args=ARGS | {"reg_tokens": 2})
    net = Supernet(randomise(build(space.model, space.model_args)), space).eval()
    assert net.table.frame.protected["queries.2"] == 1
    last = Architecture({"queries.0": 19, "queries.1": 19, "queries.2": 1})
    torch.testing.assert_close(net(images(), last), net.model(images()), rtol=1e-5, atol=1e-6)
    assert net.selection.kept(space.sizes(space.smallest))["queries.0"].tolist() == [0]
    assert net.extract(space.smallest)(images()).shape == (2, 5)


@torch.no_grad()
def test_computing_only_the_class_token_in_the_last_block_is_exact() -> None:
    net = supernet()
    small = Architecture({"queries.0": 17, "queries.1": 17, "queries.2": 1})
    torch.testing.assert_close(net(images(), small), net.model(images()), rtol=1e-5, atol=1e-6)
    assert net.cost.macs([small])[0] < net.cost.base("macs")


def test_tokens_nest_whatever_their_orders() -> None:
    """Blocks with contrary orders: a later one still keeps only what the earlier one computed."""
    net = supernet(", drop: true")
    scores = torch.arange(17, dtype=torch.float32)
    net.reorder({"queries.0": scores, "queries.1": -scores, "queries.2": scores})
    first, second, third = kept(net, Architecture({"queries.0": 10, "queries.1": 6, "queries.2": 3}))
    assert set(third) < set(second) < set(first)
    assert 0 in third, "the class token is protected"


def test_dropout_keeps_its_mode() -> None:
    """The graph of a block asks its dropout layer, which knows whether it trains."""
    net = supernet(attn_drop_rate=0.5)
    small = net.extract(net.space.smallest)
    with torch.no_grad():
        assert torch.equal(small.eval()(images()), small(images()))
        torch.manual_seed(0)
        assert not torch.equal(small.train()(images()), small.eval()(images()))


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ("{tokens: {keep: [0.5, 1.0], drop: true}}", "queries: {keep: ...}: the other tokens are gone at once"),
        ("{queries: {size: [4, 17]}}", "a size of queries"),
        ("{queries: {keep: [0.5, 1.0]}, tokens: {keep: [0.5, 1.0]}}", "sizes of queries.0, while 'tokens' sets"),
    ],
)
def test_what_makes_no_sense_is_refused(choices: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        SearchSpace.from_yaml(f"{{model: vit_tiny_patch16_224, choices: {choices}}}", model_args=ARGS)
