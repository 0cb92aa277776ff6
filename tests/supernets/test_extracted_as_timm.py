"""What timm and torch do with an extracted model: feature maps, other image sizes, scripting, tracing, export."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from timm.models._features import FeatureGetterNet
from torch import Tensor

from nas.supernets import load, save
from nas.testing.families import images, make

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's own, of what is deprecated or slow in it
ARGS = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 4, "num_classes": 7}
X = images(ARGS)


def small(kind: str) -> Any:
    supernet = make("vit_tiny_patch16_224", ARGS, kind)
    return supernet.extract(supernet.space.smallest).eval()


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (lambda model: model.forward_intermediates(X), "drops tokens"),
        (lambda model: FeatureGetterNet(model, out_indices=[0])(X), "drops tokens"),
        (lambda model: model.get_intermediate_layers(X, reshape=True), "drops tokens"),
        (lambda model: model.set_input_size((64, 64)), "chosen positions of one grid"),
        (torch.jit.script, r"use torch\.export or torch\.jit\.trace"),
    ],
)
@pytest.mark.parametrize("kind", ["widths", "queries, dropped"])
def test_dropped_tokens_refuse_what_would_be_wrong(kind: str, ask: Callable[[Any], object], reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        ask(small(kind))


def test_it_is_refused_after_saving_and_pickling(tmp_path: Any) -> None:
    supernet = make("vit_tiny_patch16_224", ARGS, "widths")
    model = supernet.extract(supernet.space.smallest).eval()
    save(tmp_path, model, supernet.blueprint(supernet.space.smallest))
    stream = io.BytesIO()
    torch.save(model, stream)
    stream.seek(0)
    for again in (load(tmp_path), torch.load(stream, weights_only=False), copy.deepcopy(model)):
        with torch.no_grad():
            assert torch.equal(again(X), model(X))
        with pytest.raises(AssertionError, match="drops tokens"):
            again.forward_intermediates(X)


@pytest.mark.parametrize("kind", ["queries", "inputs"])
def test_maps_where_all_tokens_stay(kind: str) -> None:
    """Tokens that a block does not compute pass it by, at their places."""
    model = small(kind)
    final, maps = model.forward_intermediates(X)
    assert [tuple(each.shape) for each in maps] == [(2, 48, 4, 4)] * 3
    with torch.no_grad():
        torch.testing.assert_close(model.forward_head(final), model(X))
    tokens = model.forward_intermediates(X, output_fmt="NLC", intermediates_only=True)[0]
    assert torch.equal(maps[0].flatten(2).transpose(1, 2), tokens)


def test_another_image_size_where_no_token_is_chosen() -> None:
    model = small("inputs")
    model.set_input_size((64, 64))
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    with pytest.raises(AssertionError, match="chosen positions"):
        small("queries").set_input_size((64, 64))


@pytest.mark.parametrize("kind", ["widths", "queries, dropped"])
@torch.no_grad()
def test_trace_and_export_give_the_same(kind: str) -> None:
    model = small(kind)
    for way in (torch.jit.trace(model, X), torch.export.export(model, (X,)).module()):
        torch.testing.assert_close(way(X), model(X), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_script_where_no_token_is_chosen() -> None:
    model = small("ranks")
    scripted: Tensor = torch.jit.script(model)(X)
    torch.testing.assert_close(scripted, model(X))


def test_feature_info_is_that_of_the_extracted_model() -> None:
    supernet = make("vit_tiny_patch16_224", ARGS, "widths")
    for architecture in (supernet.space.largest, supernet.space.smallest):
        model: Any = supernet.extract(architecture)
        info = model.feature_info
        assert len(info) == len(model.blocks)
        assert [entry["num_chs"] for entry in info] == [model.embed_dim] * len(info)
        assert [entry["module"] for entry in info] == [f"blocks.{name}" for name, _ in model.blocks.named_children()]
    assert [entry["num_chs"] for entry in supernet.model.feature_info] == [48] * 3, "the whole model keeps its own"
    assert info == [{"module": "blocks.0", "num_chs": 24, "reduction": 8}]


def test_swin_keeps_its_maps_and_sizes() -> None:
    args = {"img_size": 56, "embed_dim": 24, "depths": (2, 2), "num_heads": (2, 4), "num_classes": 7}
    supernet = make("swin_tiny_patch4_window7_224", args, "widths")
    model: Any = supernet.extract(supernet.space.smallest)
    maps = model.forward_intermediates(torch.zeros(1, 3, 56, 56), intermediates_only=True)
    assert [each.shape[1] for each in maps] == [entry["num_chs"] for entry in model.feature_info]
    model.set_input_size((112, 112), window_size=14)
    assert model(torch.zeros(1, 3, 112, 112)).shape == (1, 7)


def test_t2t_gives_maps_and_takes_other_sizes() -> None:
    args = {"img_size": 32, "embed_dim": 48, "depth": 4, "num_heads": 4, "num_classes": 5}
    features = timm.create_model("t2t_vit_7", features_only=True, **args)
    assert [tuple(each.shape) for each in features(X)] == [(2, 48, 2, 2)] * 3
    assert features.feature_info.channels() == [48] * 3
    assert features.feature_info.reduction() == [16] * 3
    model = timm.create_model("t2t_vit_7", **args)
    model.set_input_size((64, 64))
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 5)
    assert not model.pos_embed.requires_grad
    with pytest.raises(ValueError, match="square"):
        model.set_input_size((64, 48))
    with pytest.raises(ValueError, match="always 16 pixels apart"):
        model.set_input_size((64, 64), patch_size=(8, 8))


def test_attention_that_is_written_for_one_grid_refuses_another() -> None:
    args = {"img_size": 16, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2, "num_classes": 3}
    supernet = make("beit_base_patch16_224", args, "mixed")
    with pytest.raises(AssertionError, match="search again at the other size"):
        supernet.extract(supernet.space.smallest).set_input_size((32, 32))
    whole: Any = supernet.extract(supernet.space.largest)
    whole.set_input_size((32, 32))
    assert whole(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


def test_eva_gives_maps_and_takes_other_sizes() -> None:
    args = {**ARGS, "depth": 2}
    for name in ("eva02_small_patch14_224", "eva_giant_patch14_224", "vit_small_patch16_dinov3"):
        supernet = make(name, args, "mixed inputs")
        model: Any = supernet.extract(supernet.space.smallest).eval()
        final, maps = model.forward_intermediates(X)
        assert [tuple(each.shape) for each in maps] == [(2, 48, 4, 4)] * 2
        with torch.no_grad():
            torch.testing.assert_close(model.forward_head(final), model(X))
        model.set_input_size((64, 64))
        assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
