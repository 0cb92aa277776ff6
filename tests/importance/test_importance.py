"""Importance criteria on real supernets: the right units of the right axes; the model still computes the same."""

from collections.abc import Iterator
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

import nas.importance
from nas.errors import StrategyError
from nas.importance.given import Given
from nas.importance.magnitude import Magnitude
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet
from nas.training.workplace import Workplace

MODEL_ARGS: dict[str, Any] = {
    "img_size": 32,
    "patch_size": 8,
    "embed_dim": 24,
    "depth": 2,
    "num_heads": 3,
    "num_classes": 5,
}
SPACE = """
model: vit_tiny_patch16_224
choices:
  heads: {size: [1, 2, 3]}
  mlp: {size: [24, 48, 96]}
  head_dim: {size: [4, 8]}
  depth: {depth: [1, 2]}
  tokens: {keep: [0.5, 1.0]}
"""


def supernet(text: str = SPACE) -> Supernet:
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", **MODEL_ARGS)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return Supernet(model.eval(), SearchSpace.from_yaml(text, model_args=MODEL_ARGS))


def no_data() -> Workplace:
    """Criteria that need no data do not even look."""
    return None  # type: ignore[return-value]


def test_the_folder_holds_both() -> None:
    assert set(nas.importance.names()) >= {"given", "magnitude"}
    assert nas.importance.find("magnitude") is Magnitude
    with pytest.raises(StrategyError, match="did you mean 'magnitude'"):
        nas.importance.find("magnitud")


def test_the_given_order_changes_nothing() -> None:
    net = supernet()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.reorder(Given().score(net, no_data()).scores)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_magnitude_sums_every_parameter_that_names_the_axis() -> None:
    net = supernet()
    scores = Magnitude().score(net, no_data()).scores
    assert set(scores) == {f"{family}.{block}" for family in ("heads", "head_dim", "mlp") for block in range(2)}
    weights = {name: parameter.detach().abs() for name, parameter in net.model.named_parameters()}
    mlp = weights["blocks.1.mlp.fc1.weight"].sum(1) + weights["blocks.1.mlp.fc1.bias"]
    assert torch.allclose(scores["mlp.1"], mlp + weights["blocks.1.mlp.fc2.weight"].sum(0))
    qkv = weights["blocks.0.attn.qkv.weight"].sum(1) + weights["blocks.0.attn.qkv.bias"]
    both = qkv.view(3, 3, 8).sum(0) + weights["blocks.0.attn.proj.weight"].sum(0).view(3, 8)
    assert torch.allclose(scores["heads.0"], both.sum(1))
    assert torch.allclose(scores["head_dim.0"], both.sum(0))
    assert not any(score.requires_grad for score in scores.values())


def test_magnitude_of_the_embedding_counts_the_inputs_that_select_from_it() -> None:
    net = supernet("model: vit_tiny_patch16_224\nchoices:\n  embed: {size: [12, 24]}\n")
    scores = Magnitude().score(net, no_data()).scores
    assert list(scores) == ["embed"]
    expected = sum((p.detach().abs().movedim(at, 0).reshape(24, -1).sum(1) for at, p in embedded(net)), torch.zeros(24))
    assert torch.allclose(scores["embed"], expected)


def embedded(net: Supernet) -> Iterator[tuple[int, Tensor]]:
    """Every parameter one of whose dimensions is the width of 24, except where 24 is three heads of eight."""
    for name, parameter in net.model.named_parameters():
        if name.endswith("attn.proj.weight") or name.endswith("mlp.fc2.weight"):
            yield 0, parameter
        elif 24 in parameter.shape:
            yield list(parameter.shape).index(24), parameter


def test_applying_returns_the_scores_in_the_new_order() -> None:
    net = supernet()
    scores = Magnitude().apply(net, no_data()).scores
    again = Magnitude().score(net, no_data()).scores
    assert set(scores) == set(again)
    assert all(torch.allclose(scores[axis], again[axis]) for axis in scores)


def test_after_reordering_the_best_come_first_and_the_function_is_the_same() -> None:
    net = supernet()
    images = torch.randn(4, 3, 32, 32)
    before = net(images, net.space.largest)
    net.reorder(Magnitude().score(net, no_data()).scores)
    after = Magnitude().score(net, no_data()).scores
    assert torch.allclose(net(images, net.space.largest), before, atol=1e-4)
    for score in after.values():
        assert torch.all(score.diff() <= 1e-4)
