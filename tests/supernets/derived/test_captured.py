"""Supernets of captured models: one graph runs, trains and counts every sub-network, and lets it go."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest
import torch
from derived_models import small
from timm.layers.norm import RmsNormFp32
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nas.errors import ModelError
from nas.searchspaces import SearchSpace
from nas.searchspaces.axis_names import DEPTH, MLP, dimension, is_rank, ranked_matrix
from nas.supernets import Supernet, build, load, save
from nas.supernets.derived.captured import Captured
from nas.supernets.derived.checking import check
from nas.supernets.derived.deriving import derive
from nas.supernets.derived.factors import inner_path, located
from nas.supernets.timm_models import outline_of
from nas.testing.families import some


@lru_cache(maxsize=8)
def make(name: str) -> tuple[nn.Module, Supernet]:
    """A model, and the supernet of its captured twin, every axis of which may be chosen."""
    model, image = small(name)
    twin = Captured(model.float(), image)
    outline = outline_of(twin, name)
    lines = [f"  {kind}: {{size: [0.4, 1.0]}}" for kind in sorted(outline.elastic - {DEPTH}) if not is_rank(kind)]
    matrices = [ranked_matrix(kind) for kind in sorted(outline.elastic) if is_rank(kind)]
    lines.append(f"  rank: {{rank: [0.3, 1.0], of: [{', '.join(matrices)}]}}")
    if not outline.staged:
        lines.append("  depth: {depth: [1, 2]}")
    space = SearchSpace.from_yaml("\n".join([f"model: {name}", "choices:", *lines, ""]), outline=outline)
    return model.eval(), Supernet(twin, space).eval()


def pictures(supernet: Supernet, count: int = 2) -> Tensor:
    size = supernet.family.image_size(supernet.model)
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1))


def trained(model: nn.Module, images: Tensor) -> Tensor:
    """Outputs in training mode, of the same random numbers."""
    torch.manual_seed(0)
    outputs: Tensor = model.train()(images)
    model.eval()
    return outputs


@pytest.fixture(params=["eva02_tiny_patch14_224", "swinv2_tiny_window8_256", "levit_128s"])
def both(request: pytest.FixtureRequest) -> tuple[nn.Module, Supernet]:
    return make(request.param)


def test_the_whole_is_the_model(both: tuple[nn.Module, Supernet]) -> None:
    """To the last bit, with other numbers of images too, in training as well, by the names of its state dict."""
    model, supernet = both
    with torch.no_grad():
        for count in (1, 3):
            images = pictures(supernet, count)
            assert torch.equal(supernet(images, supernet.space.largest), model(images))
    images = pictures(supernet)
    statistics = {name: tensor.clone() for name, tensor in model.named_buffers()}
    expected = trained(model, images)
    for name, tensor in model.named_buffers():
        tensor.copy_(statistics[name])
    assert torch.equal(trained(supernet.subnet(supernet.space.largest), images), expected)
    assert supernet.state_dict().keys() == model.state_dict().keys()


def test_costs_are_those_of_what_runs(both: tuple[nn.Module, Supernet]) -> None:
    """In closed form, to the unit."""
    _, supernet = both
    architectures = some(supernet.space, 6)
    macs, params = supernet.cost.macs(architectures), supernet.cost.params(architectures)
    for architecture, mac, param in zip(architectures, macs, params, strict=True):
        subnet = supernet.subnet(architecture)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            subnet(pictures(supernet, 1))
        assert counter.get_total_flops() == 2 * mac, architecture
        assert sum(parameter.numel() for parameter in subnet.parameters()) == param


def test_what_is_extracted_is_the_sub_network_in_classes_of_torch(both: tuple[nn.Module, Supernet]) -> None:
    model, supernet = both
    images = pictures(supernet, 3)
    for architecture in some(supernet.space, 3):
        extracted = supernet.extract(architecture)
        with torch.no_grad():
            subnet = supernet.subnet(architecture)
            assert torch.equal(extracted(images), subnet(images))
        assert {type(module).__module__.partition(".")[0] for module in extracted.modules()} == {"torch"}
        assert isinstance(subnet, Captured)
        names = {located(name, subnet.factored) for name in model.state_dict()} | set(map(inner_path, subnet.factored))
        assert extracted.state_dict().keys() <= names
        shared = {parameter.data_ptr() for parameter in model.parameters()}
        assert all(p.is_leaf and p.data_ptr() not in shared for p in extracted.parameters())
        torch.testing.assert_close(trained(extracted, images), trained(subnet, images))


def test_gradients_reach_the_model(both: tuple[nn.Module, Supernet]) -> None:
    model, supernet = both
    for parameter in supernet.model.parameters():
        parameter.grad = None
    read = [name for name, entry in supernet.table.entries.items() if name in supernet.model.state_dict()]
    trained(supernet.subnet(supernet.space.largest), pictures(supernet, 4)).square().sum().backward()
    lacking = [name for name in read if supernet.model.get_parameter(name).grad is None]
    assert not lacking
    assert model.training is False


def test_units_in_another_order_compute_the_same(both: tuple[nn.Module, Supernet]) -> None:
    """Buffers of norms move with them."""
    _, supernet = both
    images = pictures(supernet)
    generator = torch.Generator().manual_seed(2)
    axes = [axis for axis in supernet.table.frame.axes if supernet.orders(axis)]
    with torch.no_grad():
        before = supernet(images, supernet.space.largest)
        supernet.reorder({a: torch.rand(supernet.table.frame.axes[a], generator=generator) for a in axes})
        after = supernet(images, supernet.space.largest)
    assert len(axes) > 3
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)


def test_gates_of_blocks(both: tuple[nn.Module, Supernet]) -> None:
    """1 is the whole, 0 is the model without the block, to the last bit, and between them there are gradients."""
    _, supernet = both
    images, axes = pictures(supernet), [axis for axis in supernet.table.frame.axes if dimension(axis) == DEPTH]
    assert axes
    with torch.no_grad():
        whole = supernet.model(images)
        assert torch.equal(supernet.relaxed(images, {axis: torch.ones(1) for axis in axes}), whole)
        for axis in axes:
            without = supernet._carve(dict(supernet.model.named_parameters()), {axis: 0})(images)
            assert torch.equal(supernet.relaxed(images, {axis: torch.zeros(1)}), without)
            assert not torch.equal(without, whole)
    gate = torch.full((1,), 0.5, requires_grad=True)
    supernet.relaxed(images, {axes[0]: gate}).square().sum().backward()
    assert gate.grad is not None
    assert gate.grad.abs() > 0
    with pytest.raises(ModelError, match="cannot be folded"):
        supernet.fold({axes[0]: gate.detach()})


def test_a_gate_of_nothing_is_a_slice() -> None:
    """Hidden units that are multiplied by 0 are gone; the dimension that a softmax's products sum over has no gate."""
    _, supernet = make("vit_tiny_patch16_224")
    axes = {axis: units for axis, units in supernet.table.frame.axes.items() if dimension(axis) == MLP}
    half = {axis: (torch.arange(units) < units // 2).float() for axis, units in axes.items()}
    images = pictures(supernet)
    with torch.no_grad():
        sliced = supernet._carve(dict(supernet.model.named_parameters()), {a: u // 2 for a, u in axes.items()})(images)
        for where in ("consumed", "produced"):
            torch.testing.assert_close(supernet.relaxed(images, half, where), sliced, rtol=1e-4, atol=1e-4)
    with pytest.raises(ModelError, match=r"'head_dim.0' cannot be gated where it is consumed"):
        supernet.relaxed(images, {"head_dim.0": torch.ones(8)})


def test_a_model_by_its_name_is_saved_and_loaded(tmp_path: Path) -> None:
    """As a study does: the space outlines it in a process of its own, and a saved sub-network is captured anew."""
    text = """
    model: timm/eva02_tiny_patch14_224
    model_args: {img_size: 16, patch_size: 8, embed_dim: 16, depth: 2, num_heads: 2, num_classes: 3}
    choices: {mlp: {size: [0.5, 1.0], per: block}, depth: {depth: [1, 2]}}
    """
    space = SearchSpace.from_yaml(text)
    supernet = Supernet(build(space.model, space.model_args), space).eval()
    extracted = supernet.extract(space.smallest)
    save(tmp_path, extracted, supernet.blueprint(space.smallest))
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(load(tmp_path)(images), supernet(images, space.smallest))


class Cast(nn.Module):
    """Its norm is in single precision, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm, self.head = nn.Conv2d(3, 8, 8, 8), RmsNormFp32(8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(self.patches(x).flatten(2).transpose(1, 2)).mean(1))
        return logits


def test_a_forward_that_casts() -> None:
    """It runs under autocast, and its proofs do not fail by the rounding of single precision."""
    captured = Captured(Cast(), (3, 32, 32))
    images = torch.randn(2, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert captured.train()(images).dtype == torch.bfloat16
    assert all(proof.good for proof in check(Cast(), (3, 32, 32)))


class Laid(nn.Module):
    """It views what attention gives on this device as if it were so on all."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.qkv, self.head = nn.Conv2d(3, 8, 8, 8), nn.Linear(8, 24), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, 2, 4).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        logits: Tensor = self.head(y.contiguous().view(x.shape).mean(1))
        return logits


def test_no_view_relies_on_how_memory_is_laid_out() -> None:
    assert set(derive(Laid(), (3, 32, 32)).axes) == {"patches", "heads", "head_dim"}
