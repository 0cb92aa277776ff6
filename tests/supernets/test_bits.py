"""Matrices in int8: what rounding does, and that a sub-network, its extracted model and its file say the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nas.axes import FLOAT_BITS
from nas.errors import CheckpointError, LimitError, ModelError
from nas.searchspaces import Architecture, Limit, SearchSpace
from nas.supernets import Supernet, load, save
from nas.supernets.int8_weights import with_int8
from nas.supernets.models.int8 import Int8Linear, RoundedLinear, restored, rounded, scales, stored
from nas.supernets.saved import RECIPE, WEIGHTS
from nas.testing.families import images, randomise

MODEL = "vit_tiny_patch16_224"
ARGS = {"img_size": 16, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 5}
CHOICES = """
  heads: {size: [1, 2, 3]}
  mlp: {size: [0.5, 1.0]}
  depth: {depth: [1, 2]}
  queries: {keep: [0.5, 1.0]}
  rank: {rank: [0.25, 1.0], of: [qkv, fc2]}
  bits: {bits: [8, 32]}
"""


def supernet_of(choices: str = CHOICES) -> Supernet:
    space = SearchSpace.from_yaml(f"model: {MODEL}\nchoices:{choices}", model_args=ARGS)
    return Supernet(randomise(timm.create_model(MODEL, **ARGS)), space)


def some(space: SearchSpace, count: int = 12) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [space.smallest, space.largest, *(space.sample(rng) for _ in range(count - 2))]


def rows(count: int, units: int) -> Tensor:
    """Rows of very different size."""
    return torch.randn(count, units) * 10.0 ** torch.empty(count, 1).uniform_(-20, 10)


def test_rounding_is_to_the_nearest_and_a_second_time_changes_nothing() -> None:
    torch.manual_seed(0)
    x = rows(200, 37)
    near, step = rounded(x), scales(x)
    assert ((near - x).abs() <= step * 0.5001).all()
    assert torch.equal((near / step).round() * step, near)
    assert torch.equal(rounded(near), near)
    assert torch.equal(rounded(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_stored_weights_are_the_rounded_ones_to_the_last_bit() -> None:
    torch.manual_seed(0)
    weight = rows(200, 37)
    whole, scale = stored(weight)
    assert whole.dtype == torch.int8
    assert whole.abs().max() == 127
    assert torch.equal(restored(whole, scale), rounded(weight))
    layer = RoundedLinear(37, 11)
    assert torch.equal(Int8Linear(layer)(weight), layer(weight))


def test_a_token_is_rounded_alike_whatever_is_beside_it() -> None:
    torch.manual_seed(0)
    tokens = torch.randn(3, 5, 8) * torch.tensor([1.0, 100.0, 0.01])[:, None, None]
    assert torch.equal(rounded(tokens)[1:2], rounded(tokens[1:2]))
    assert torch.equal(rounded(tokens)[:, 2:], rounded(tokens[:, 2:]))


def test_gradients_pass_straight_through() -> None:
    x = torch.randn(4, 8, requires_grad=True)
    rounded(x).backward(torch.full((4, 8), 3.0))
    assert x.grad is not None
    assert torch.equal(x.grad, torch.full((4, 8), 3.0))


def test_all_bits_are_the_plain_model_and_eight_are_close_to_it() -> None:
    supernet = supernet_of("\n  bits: {bits: [8, 32], per: model}\n")
    x = images(ARGS)
    with torch.no_grad():
        plain = supernet.model(x)
        assert torch.equal(supernet(x, supernet.space.largest), plain)
        difference = (supernet(x, supernet.space.smallest) - plain).abs().max() / plain.abs().max()
    assert 0 < difference < 0.05


def test_extracted_saved_and_stored_models_compute_the_bits_of_the_sub_network(tmp_path: Path) -> None:
    """With tokens that are not computed, factored matrices and fewer heads; and the file has as many bytes as said."""
    supernet, x = supernet_of(), images(ARGS)
    for number, architecture in enumerate(some(supernet.space)):
        extracted = supernet.extract(architecture)
        folder = tmp_path / str(number)
        save(folder, extracted, supernet.blueprint(architecture))
        loaded = load(folder)
        with torch.no_grad():
            expected = supernet(x, architecture)
            for model in (extracted, loaded, with_int8(loaded)):
                assert torch.equal(model(x), expected)
        tensors = load_file(folder / WEIGHTS)
        weights = {name: tensor for name, tensor in tensors.items() if not name.endswith(".index")}
        assert sum(tensor.nbytes for tensor in weights.values()) == supernet.cost.of("size", architecture)[0]
        save(tmp_path / "again", loaded, supernet.blueprint(architecture))
        assert load_file(tmp_path / "again" / WEIGHTS).keys() == tensors.keys()
        assert all(torch.equal(load_file(tmp_path / "again" / WEIGHTS)[name], tensors[name]) for name in tensors)


def test_bit_operations_are_those_of_the_layers_of_the_extracted_model() -> None:
    supernet = supernet_of()
    for architecture in some(supernet.space):
        extracted, expected = supernet.extract(architecture), 0
        macs: dict[type[nn.Module], int] = {}

        def count(layer: nn.Linear, inputs: tuple[Tensor], _: Tensor, macs: dict[type[nn.Module], int] = macs) -> None:
            kind = type(layer)
            macs[kind] = macs.get(kind, 0) + inputs[0].numel() * layer.weight.shape[0]

        for layer in extracted.modules():
            if isinstance(layer, nn.Linear):
                layer.register_forward_hook(count)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            extracted(images(ARGS, 1))
        narrow = macs.get(RoundedLinear, 0)
        expected = narrow * 64 + (counter.get_total_flops() // 2 - narrow) * FLOAT_BITS**2
        assert supernet.cost.of("bit_operations", architecture)[0] == expected


def test_gradients_of_int8_sub_networks_reach_the_shared_weights() -> None:
    supernet = supernet_of()
    supernet(images(ARGS), supernet.space.smallest).square().sum().backward()
    for name in ("blocks.0.attn.qkv.weight", "blocks.0.mlp.fc1.weight"):
        gradient = supernet.model.get_parameter(name).grad
        assert gradient is not None
        assert gradient.abs().sum() > 0


def test_a_loaded_model_learns() -> None:
    supernet = supernet_of()
    extracted = supernet.extract(supernet.space.smallest)
    extracted(images(ARGS)).square().sum().backward()
    layers = [layer for layer in extracted.modules() if isinstance(layer, RoundedLinear)]
    assert layers
    assert all(layer.weight.grad is not None and layer.weight.grad.abs().sum() > 0 for layer in layers)


def test_costs_of_bits_are_bounds_that_sampling_and_the_lattice_keep() -> None:
    space = supernet_of().space
    cost = supernet_of().cost
    limit = Limit(cost, bit_operations="30%", size="60%")
    table = space.sample_table(np.random.default_rng(0), 300, limit)
    assert (cost.of("bit_operations", table) <= 0.3 * cost.base("bit_operations")).all()
    assert (cost.of("size", table) <= 0.6 * cost.base("size")).all()
    worth = [np.arange(length, dtype=np.float64) for length in space.n_values]
    best = limit.lattice.best(worth)
    assert limit.allows(space.from_table(best)[0])


def test_only_spaces_that_choose_bits_have_such_costs() -> None:
    cost = supernet_of("\n  heads: {size: [1, 2, 3]}\n").cost
    assert not {"size", "bit_operations"} & cost.bases.keys()
    with pytest.raises(LimitError, match="'size' is of a space that chooses bits"):
        cost.of("size", cost.space.largest)


def first(units: int, rest: float = 0.0) -> Tensor:
    """A gate of 1 for the first units, and another one for the rest."""
    return torch.where(torch.arange(FLOAT_BITS) < units, 1.0, rest)


@torch.no_grad()
def test_gates_of_bits_are_exact_at_both_ends_and_mix_what_a_matrix_computes_between() -> None:
    supernet, x = supernet_of(), images(ARGS)
    axes = [axis for axis in supernet.table.frame.axes if axis.endswith("_bits.1")]
    assert len(axes) == 4
    whole = supernet.model(x)
    eight = supernet._carve(dict(supernet.model.named_parameters()), dict.fromkeys(axes, 8))(x)
    assert torch.equal(supernet.relaxed(x, dict.fromkeys(axes, torch.ones(FLOAT_BITS))), whole)
    assert torch.equal(supernet.relaxed(x, dict.fromkeys(axes, first(8))), eight)
    assert not torch.equal(eight, whole)

    layer = supernet.relaxed_model({"fc1_bits.1": first(8, 0.3)}).get_submodule("blocks.1.mlp.fc1")
    plain, y = supernet.model.get_submodule("blocks.1.mlp.fc1"), torch.randn(3, 24)
    assert isinstance(plain, nn.Linear)
    in_int8 = nn.functional.linear(rounded(y), rounded(plain.weight), plain.bias)
    torch.testing.assert_close(layer(y), 0.3 * plain(y) + 0.7 * in_int8)


def test_gates_of_bits_learn_beside_the_weights() -> None:
    supernet, gate = supernet_of(), first(8, 0.5).requires_grad_()
    supernet.relaxed(images(ARGS), {"fc2_bits.0": gate}).square().sum().backward()
    assert gate.grad is not None
    assert gate.grad[-1] != 0
    weight = supernet.model.get_parameter("blocks.0.mlp.fc2.weight")
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0


def test_gates_of_bits_are_not_for_good_and_bits_have_no_order() -> None:
    supernet = supernet_of()
    with pytest.raises(ModelError, match=r"the gate of fc1_bits\.0 cannot be folded: a layer rounds, or it does not"):
        supernet.fold({"fc1_bits.0": torch.ones(FLOAT_BITS)})
    with pytest.raises(ModelError, match=r"the units of 'fc1_bits\.0' have no order"):
        supernet.reorder({"fc1_bits.0": torch.ones(FLOAT_BITS)})


@pytest.mark.parametrize("fault", ["scale", "type", "shape"])
def test_a_damaged_file_is_refused(fault: str, tmp_path: Path) -> None:
    supernet = supernet_of("\n  bits: {bits: [8]}\n")
    architecture = supernet.space.smallest
    save(tmp_path, supernet.extract(architecture), supernet.blueprint(architecture))
    tensors, name = load_file(tmp_path / WEIGHTS), "blocks.0.attn.qkv.weight"
    before = (tmp_path / WEIGHTS).read_bytes()
    if fault == "scale":
        del tensors[f"{name}_scale"]
    else:
        tensors[name] = tensors[name].float() if fault == "type" else tensors[name][:5].clone()
    save_file(tensors, tmp_path / WEIGHTS)
    old, new = (hashlib.sha256(content).hexdigest() for content in (before, (tmp_path / WEIGHTS).read_bytes()))
    (tmp_path / RECIPE).write_text((tmp_path / RECIPE).read_text().replace(old, new))
    with pytest.raises(CheckpointError, match=r"blocks\.0\.attn\.qkv"):
        load(tmp_path)
