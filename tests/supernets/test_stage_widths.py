"""Widths of Swin's stages: what merges a stage into the next follows both, and so do feature maps and costs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nas.errors import ConfigError
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet, build
from nas.testing.families import randomise, some

MODELS = {
    "swin_tiny_patch4_window7_224": {"img_size": 28, "embed_dim": 12, "depths": (1, 2), "num_heads": (2, 2)},
    "swinv2_tiny_window8_256": {"img_size": 32, "window_size": 4, "embed_dim": 12, "depths": (1, 2),
                                "num_heads": (2, 2)},
}  # fmt: skip
SPACE = """
model: {}
model_args: {}
choices:
  embed: {{size: [0.5, 0.75, 1.0], per: stage}}
  heads: {{size: [1, 2], per: block}}
"""


@pytest.fixture(params=list(MODELS))
def supernet(request: pytest.FixtureRequest) -> Supernet:
    args: dict[str, Any] = {**MODELS[request.param], "num_classes": 5}
    text = {key: list(value) if isinstance(value, tuple) else value for key, value in args.items()}
    space = SearchSpace.from_yaml(SPACE.format(request.param, text))
    return Supernet(randomise(build(request.param, args)), space).eval()


def pictures(supernet: Supernet) -> torch.Tensor:
    return torch.randn(2, 3, *supernet.family.image_size(supernet.model), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_each_stage_has_a_width_of_its_own(supernet: Supernet) -> None:
    """Extracted exactly, counted to the unit, with maps as wide as they say."""
    x = pictures(supernet)
    assert {"embed.0", "embed.1"} <= supernet.space.axes
    for architecture in some(supernet.space, 6):
        model: Any = supernet.extract(architecture)
        widths = [supernet.space.sizes(architecture)[f"embed.{s}"] for s in (0, 1)]
        with FlopCounterMode(display=False) as counter:
            model(x[:1])
        assert counter.get_total_flops() == 2 * supernet.cost.macs(architecture)[0]
        outputs = model(x)
        assert torch.equal(outputs, supernet(x, architecture))
        assert model.layers[1].downsample.reduction.weight.shape == (widths[1], 4 * widths[0])
        final, maps = model.forward_intermediates(x)
        assert [m.shape[1] for m in maps] == widths == [info["num_chs"] for info in model.feature_info]
        torch.testing.assert_close(model.forward_head(final), outputs)


@torch.no_grad()
def test_units_of_a_stage_are_sorted_where_they_are_merged_too(supernet: Supernet) -> None:
    x = pictures(supernet)
    before = supernet(x, supernet.space.largest)
    scores = torch.rand(12, generator=torch.Generator().manual_seed(3))
    first = supernet.model.get_parameter("patch_embed.proj.weight")[scores.argmax()].clone()
    supernet.reorder({"embed.0": scores, "embed.1": torch.rand(24, generator=torch.Generator().manual_seed(4))})
    assert torch.equal(supernet.model.get_parameter("patch_embed.proj.weight")[0], first)
    torch.testing.assert_close(supernet(x, supernet.space.largest), before, rtol=1e-4, atol=1e-5)


def test_widths_and_the_inputs_of_merging_are_not_chosen_together() -> None:
    text = SPACE.format("swin_tiny_patch4_window7_224", "{}") + "  merging_in: {size: [0.5, 1.0]}\n"
    with pytest.raises(ConfigError, match="merging_in"):
        SearchSpace.from_yaml(text)
