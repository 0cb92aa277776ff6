"""T2T-ViT: counts of the paper, its attention, and published checkpoints' names."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from nas.errors import ModelError
from nas.supernets.checkpoint import load_weights
from nas.supernets.models.t2t import FEATURES, T2T, WIDTH, Performer, checkpoint_filter_fn
from nas.supernets.timm_models import build

SMALL = {"img_size": 32, "embed_dim": 48, "depth": 2, "num_heads": 4, "num_classes": 5}


def test_counts_of_the_paper() -> None:
    """21.5 M parameters and 4.8 G MACs, of which the tokens-to-token module has 0.39 M and 0.30 G."""
    model = timm.create_model("t2t_vit_14").eval()
    assert sum(p.numel() for p in model.parameters()) == 21_545_550
    assert sum(p.numel() for p in model.patch_embed.parameters()) == 391_526
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.patch_embed(torch.zeros(1, 3, 224, 224))
    assert counter.get_total_flops() / 2e9 == pytest.approx(0.299, abs=5e-4)


@pytest.mark.parametrize(("depth", "millions"), [(7, 4.31), (10, 5.89), (12, 6.94), (19, 39.18), (24, 64.11)])
def test_all_sizes_are_registered(depth: int, millions: float) -> None:
    with torch.device("meta"):
        model = timm.create_model(f"t2t_vit_{depth}")
    assert type(model) is T2T
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=5e-3)


def test_gradients_reach_all_that_trains() -> None:
    """Random features and positions are fixed; everything else learns."""
    torch.manual_seed(0)
    model = timm.create_model("t2t_vit_7", **SMALL)
    model(torch.randn(2, 3, 32, 32)).square().sum().backward()
    fixed = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert fixed == {"pos_embed", "patch_embed.attention1.w", "patch_embed.attention2.w"}
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters() if p.requires_grad)


def test_performer_is_its_formula_written_out() -> None:
    torch.manual_seed(1)
    layer = Performer(12).eval()
    assert torch.allclose(layer.w @ layer.w.T, FEATURES * torch.eye(FEATURES), atol=1e-4)
    x = torch.randn(1, 5, 12)
    with torch.no_grad():
        key, query, value = layer.kqv(layer.norm1(x))[0].split(WIDTH, dim=1)

        def phi(v: torch.Tensor) -> torch.Tensor:
            return torch.stack([torch.exp(row @ v - v @ v / 2) for row in layer.w]) / FEATURES**0.5

        rows = []
        for i in range(5):
            weights = torch.stack([phi(query[i]) @ phi(key[j]) for j in range(5)])
            rows.append((weights / (weights.sum() + 1e-8)) @ value)
        out = value + layer.proj(torch.stack(rows))
        torch.testing.assert_close(layer(x)[0], out + layer.mlp(layer.norm2(out)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_names_are_mapped(tmp_path: Path, prefix: str) -> None:
    """A checkpoint with the published names loads, and gives the same model."""
    torch.manual_seed(2)
    model, other = (timm.create_model("t2t_vit_7", **SMALL).eval() for _ in range(2))
    published = {
        prefix + name.replace("patch_embed.", "tokens_to_token."): tensor for name, tensor in model.state_dict().items()
    }
    assert f"{prefix}tokens_to_token.attention1.kqv.weight" in published
    assert set(checkpoint_filter_fn(published, other)) == set(other.state_dict())
    save_file({name: tensor.contiguous() for name, tensor in published.items()}, tmp_path / "published.safetensors")
    load_weights(other, tmp_path / "published.safetensors")
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(x), other(x))


def test_norms_have_the_published_epsilon() -> None:
    model = timm.create_model("t2t_vit_7", **SMALL)
    assert {module.eps for module in model.modules() if isinstance(module, torch.nn.LayerNorm)} == {1e-5}


@torch.no_grad()
def test_the_scale_of_the_published_pretrained_path(tmp_path: Path) -> None:
    """softmax(qk_scale q k^T): given to timm's attention through the query weights, of new models and published files;
    a file with our names has it already.
    """
    plain, scaled = (timm.create_model("t2t_vit_7", **SMALL, **args).eval() for args in ({}, {"qk_scale": 48**-0.5}))
    state = {name: tensor.contiguous() for name, tensor in plain.state_dict().items()}
    save_file(
        {name.replace("patch_embed.", "tokens_to_token."): t for name, t in state.items()}, tmp_path / "a.safetensors"
    )
    load_weights(scaled, tmp_path / "a.safetensors")
    x = torch.randn(2, 5, 48)
    attention, published = scaled.blocks[0].attn, plain.blocks[0].attn
    query, key, value = published.qkv(x).reshape(2, 5, 3, 4, 12).permute(2, 0, 3, 1, 4).unbind(0)
    mixed = (query * 48**-0.5 @ key.transpose(-2, -1)).softmax(-1) @ value
    expected = published.proj(mixed.transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(x), expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(published(x), expected, rtol=1e-4, atol=1e-6)
    again = timm.create_model("t2t_vit_7", **SMALL, qk_scale=48**-0.5)
    save_file({name: tensor.contiguous() for name, tensor in scaled.state_dict().items()}, tmp_path / "b.safetensors")
    load_weights(again, tmp_path / "b.safetensors")
    assert torch.equal(again.blocks[0].attn.qkv.weight, attention.qkv.weight)


def test_the_seed_decides_the_random_features() -> None:
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        states.append(timm.create_model("t2t_vit_7", **SMALL).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["patch_embed.attention1.w"], states[2]["patch_embed.attention1.w"])


def test_an_image_that_is_no_square_is_refused() -> None:
    with pytest.raises(ModelError, match="T2T-ViT takes square images"):
        build("t2t_vit_7", {"img_size": [32, 48]})
