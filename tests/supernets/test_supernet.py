"""What the conformance suite does not ask: tokens and their order, ranks, mismatches, modes."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from torch import nn

from nas.errors import ConfigError, ModelError, SpaceError
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet
from nas.testing.families import images, make, randomise

ARGS = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 4}
MODEL = "vit_tiny_patch16_224"


def supernet_of(choices: str, **args: object) -> Supernet:
    space = SearchSpace.from_yaml(f"model: {MODEL}\nchoices:\n  {choices}\n", model_args=ARGS | args)
    return Supernet(randomise(timm.create_model(MODEL, **ARGS, **args)), space)


def test_tokens_leave_from_the_edges_first() -> None:
    supernet = supernet_of("tokens: {keep: [0.25, 0.5, 1.0]}")
    smallest = supernet.subnet(supernet.space.smallest)
    index = smallest.get_submodule("blocks.0.0").get_buffer("index").tolist()
    grid = np.arange(16).reshape(4, 4)
    assert index == [0, *(1 + grid[1:3, 1:3].ravel())]


def test_token_order_by_importance_and_nesting() -> None:
    supernet = supernet_of("tokens: {keep: [0.25, 0.5, 1.0]}")
    scores = torch.zeros(17)
    scores[[16, 15, 14, 13]] = 1.0
    supernet.reorder({f"tokens.{i}": scores for i in range(3)})
    model = supernet.subnet(supernet.space.smallest)
    assert model.get_submodule("blocks.0.0").get_buffer("index").tolist() == [0, 13, 14, 15, 16]
    state = supernet.selection.state()
    other = supernet_of("tokens: {keep: [0.25, 0.5, 1.0]}")
    other.selection.load(state)
    x = images(ARGS)
    with torch.no_grad():
        assert torch.equal(other(x, other.space.smallest), model(x))


def test_later_blocks_choose_among_the_tokens_that_are_left() -> None:
    supernet = supernet_of("tokens: {keep: [0.25, 0.5, 1.0]}")
    first, last = torch.arange(17.0), -torch.arange(17.0)
    supernet.reorder({"tokens.0": first, "tokens.1": last, "tokens.2": last})
    architecture = supernet.space.from_table(np.array([[1, 0, 0]]))[0]
    model = supernet.subnet(architecture)
    assert model.get_submodule("blocks.0.0").get_buffer("index").tolist() == [0, *range(9, 17)]
    kept = model.get_submodule("blocks.1.0")(torch.arange(9.0)[None, :, None])
    assert kept[0, :, 0].tolist() == [0, 1, 2, 3, 4], "the first of those that arrive"


def test_selected_inputs_follow_a_permuted_embedding() -> None:
    """Sorting the embedding after an order of inputs was set keeps pointing at the same units."""
    supernet = supernet_of("qkv_in: {size: [0.5, 1.0]}")
    x = images(ARGS)
    generator = torch.Generator().manual_seed(3)
    supernet.reorder({"qkv_in.1": torch.rand(48, generator=generator)})
    with torch.no_grad():
        before = supernet(x, supernet.space.smallest)
        supernet.reorder({"embed": torch.rand(48, generator=generator)})
        # Blocks 0 and 2 keep the first inputs, which the sorting has changed; so only block 1 is cut here.
        architecture = supernet.space.from_table(np.array([[1, 0, 1]]))[0]
        fresh = supernet_of("qkv_in: {size: [0.5, 1.0]}")
        generator.manual_seed(3)
        fresh.reorder({"qkv_in.1": torch.rand(48, generator=generator)})
        torch.testing.assert_close(supernet(x, architecture), fresh(x, architecture), rtol=1e-4, atol=1e-5)
    assert before.shape == (2, 1000)


def test_full_rank_is_the_matrix_and_small_ranks_are_factors() -> None:
    supernet = supernet_of("rank: {rank: [0.25, 1.0], of: [fc1]}")
    model = supernet.extract(supernet.space.smallest)
    factors = model.get_submodule("blocks.0.mlp.fc1")
    assert isinstance(factors, nn.Sequential)
    inner, outer = factors.get_parameter("0.weight"), factors.get_parameter("1.weight")
    assert inner.shape == (12, 48)
    assert outer.shape == (192, 12)
    weight = supernet.model.get_parameter("blocks.0.mlp.fc1.weight").detach()
    u, s, vh = torch.linalg.svd(weight, full_matrices=False)
    torch.testing.assert_close((outer @ inner).detach(), (u[:, :12] * s[:12]) @ vh[:12], rtol=1e-4, atol=1e-5)


def test_a_smaller_head_dim_keeps_the_base_scale() -> None:
    """Fused and unfused attention of the extracted model agree."""
    supernet = make(MODEL, ARGS, "widths")
    architecture = supernet.space.smallest
    extracted = supernet.extract(architecture)
    x = images(ARGS)
    with torch.no_grad():
        fused = extracted(x)
        for block in extracted.get_submodule("blocks").children():
            attention = block[-1].attn if isinstance(block, nn.Sequential) else block.attn
            attention.fused_attn = False
        torch.testing.assert_close(extracted(x), fused, rtol=1e-4, atol=1e-5)


def test_a_space_for_another_model_is_refused() -> None:
    space = SearchSpace.from_yaml(f"model: {MODEL}\nchoices:\n  mlp: {{size: [96, 192]}}\n", model_args=ARGS)
    with pytest.raises(SpaceError, match=r"heads\.0 = 4, this model has 6"):
        Supernet(timm.create_model(MODEL, **ARGS | {"num_heads": 6}), space)


def test_a_foreign_architecture_is_refused() -> None:
    supernet = supernet_of("mlp: {size: [96, 192]}")
    other = supernet_of("heads: {size: [1, 4]}")
    with pytest.raises(SpaceError):
        supernet(images(ARGS), other.space.largest)


@pytest.mark.parametrize(
    ("axis", "scores", "message"),
    [("mlp.0", 3, "192 units, got \\(3,\\) scores"), ("depth.0", 1, "no order"), ("mlp.9", 192, "no order")],
)
def test_reorder_refuses(axis: str, scores: int, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        supernet_of("mlp: {size: [96, 192]}").reorder({axis: torch.ones(scores)})


def test_mode_and_weights_are_those_of_the_moment() -> None:
    supernet = supernet_of("mlp: {size: [96, 192]}")
    assert supernet.train().subnet(supernet.space.smallest).training
    assert not supernet.eval().subnet(supernet.space.smallest).training


def test_inference_mode_gives_the_same_bits() -> None:
    supernet = make(MODEL, ARGS, "widths")
    extracted = supernet.extract(supernet.space.smallest)
    x = images(ARGS)
    with torch.inference_mode():
        assert torch.equal(supernet(x, supernet.space.smallest), extracted(x))


def test_state_dict_inside_another_module() -> None:
    """As in DistributedDataParallel: the names are the model's behind the wrapper's own."""
    supernet = supernet_of("mlp: {size: [96, 192]}")
    wrapper = nn.ModuleDict({"net": supernet})
    state = wrapper.state_dict()
    assert set(state) == {f"net.{name}" for name in supernet.model.state_dict()}
    wrapper.load_state_dict({name: torch.zeros_like(tensor) for name, tensor in state.items()})
    assert all((parameter == 0).all() for parameter in supernet.model.parameters())


def test_random_token_dropping_leaves_no_choice_of_tokens() -> None:
    with pytest.raises(ConfigError, match="tokens"):
        supernet_of("tokens: {keep: [0.5, 1.0]}", patch_drop_rate=0.5)
