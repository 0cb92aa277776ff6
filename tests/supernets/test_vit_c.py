"""ViT_C: timm's vision transformer on timm's convolutional stem."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch.utils.flop_counter import FlopCounterMode

from nas.searchspaces import SearchSpace
from nas.supernets import Supernet, build
from nas.supernets.families import family_of
from nas.supernets.models.vit_c import SIZES
from nas.supernets.timm_models import outlined

SMALL = {"img_size": 16, "depth": 1, "embed_dim": 16, "num_heads": 2, "stem_channels": [4], "stem_strides": [4]}


@pytest.mark.parametrize(("name", "parameters", "macs"), [("vit_c_1gf", 4.6e6, 1.1e9), ("vit_c_4gf", 17.8e6, 4.0e9)])
def test_sizes_are_the_papers(name: str, parameters: float, macs: float) -> None:
    assert name in SIZES
    model = outlined(name, {})
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(parameters, rel=0.01)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 224, 224, device="meta"))
    assert counter.get_total_flops() / 2 == pytest.approx(macs, rel=0.03)


def test_strides_set_the_number_of_tokens() -> None:
    model = timm.create_model("vit_c_1gf", img_size=32, stem_channels=[8, 16, 32], stem_strides=[1, 2, 2])
    assert isinstance(model, VisionTransformer)
    assert model.patch_embed.grid_size == (8, 8)
    assert model.patch_embed(torch.zeros(2, 3, 32, 32)).shape == (2, 64, 192)


def test_the_stem_keeps_its_statistics_in_all_sub_networks() -> None:
    space = SearchSpace.from_yaml(
        "{model: vit_c_1gf, choices: {embed: {size: [0.5, 1.0]}}}", model_args=SMALL | {"num_classes": 3}
    )
    supernet = Supernet(build("vit_c_1gf", space.model_args), space)
    model = supernet.subnet(space.smallest).train()
    before = supernet.model.state_dict()["patch_embed.backbone.0.bn.running_mean"].clone()
    model(torch.randn(4, 3, 16, 16))
    statistics = [
        m.state_dict()["patch_embed.backbone.0.bn.running_mean"]
        for m in (supernet.model, supernet.extract(space.smallest), supernet.extract(space.largest))
    ]
    assert not torch.equal(statistics[0], before)
    assert torch.equal(statistics[0], statistics[1])
    assert torch.equal(statistics[0], statistics[2])


def test_a_stem_with_a_projection_behind_it_stays_whole() -> None:
    model = build("vit_c_1gf", SMALL)
    model.patch_embed.proj = torch.nn.Conv2d(16, 16, 1)
    entries = family_of(model).table(model).entries
    assert entries["patch_embed.backbone.1.conv.weight"].dims == (("16",), ("4",), ("1",), ("1",))
    assert entries["patch_embed.proj.weight"].dims[0] == ("embed",)
