"""Inputs of single layers as axes: of the projection (heads and head dimensions, packed), classifier and merging."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nas.errors import ConfigError, ModelError
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet, build, load, save
from nas.testing.families import randomise

VIT = ("vit_tiny_patch16_224", {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 4})
SWIN = ("swin_tiny_patch4_window7_224", {"img_size": 16, "patch_size": 2, "window_size": 4, "embed_dim": 16,
                                         "depths": [1, 1], "num_heads": [2, 4]})  # fmt: skip


def supernet(choices: str, kind: tuple[str, dict[str, object]] = VIT) -> Supernet:
    model, args = kind
    space = SearchSpace.from_yaml(f"{{model: {model}, choices: {{{choices}}}}}", model_args=args)
    return Supernet(randomise(build(model, space.model_args)), space)


@pytest.mark.parametrize("kind", [VIT, SWIN])
def test_what_the_projection_does_not_need_may_go(kind: tuple[str, dict[str, object]]) -> None:
    """Columns of zero score least; without them the function is the same, and the saved model is the same again."""
    net = supernet("proj_in: {size: [0.75, 1.0]}", kind)
    x = torch.randn(2, 3, 16, 16)
    scores = {}
    with torch.no_grad():
        for index, path in net.table.frame.blocks.items():
            weight = net.model.get_parameter(f"{path}.attn.proj.weight")
            weight[:, 1::4] = 0
            scores[f"proj_in.{index}"] = weight.abs().sum(0)
        net.reorder(scores)
        torch.testing.assert_close(net(x, net.space.smallest), net.model(x), rtol=1e-5, atol=1e-5)


def test_saved_models_know_their_inputs(tmp_path: Path) -> None:
    net = supernet("proj_in: {size: [0.5, 1.0]}, head_in: {size: [0.5, 1.0]}")
    net.reorder({"proj_in.0": torch.arange(16.0), "head_in": torch.arange(16.0)})
    small = net.extract(net.space.smallest)
    save(tmp_path, small, net.blueprint(net.space.smallest))
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(load(tmp_path)(x), small(x))
        assert torch.equal(net(x, net.space.smallest), small(x))


@pytest.mark.parametrize("rival", ["heads", "head_dim"])
def test_one_of_the_two_is_chosen(rival: str) -> None:
    with pytest.raises(ConfigError, match=f"proj_in.0 selects its units from {rival}.0"):
        supernet(f"proj_in: {{size: [0.5, 1.0]}}, {rival}: {{size: [0.5, 1.0]}}")


def test_units_that_are_selected_from_in_packs_do_not_move() -> None:
    with pytest.raises(ModelError, match=r"proj_in\.0 selects from the units of 'heads\.0'"):
        supernet("proj_in: {size: [0.5, 1.0]}").reorder({"heads.0": torch.arange(4.0)})
