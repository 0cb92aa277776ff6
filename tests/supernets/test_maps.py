"""Feature maps of extracted models, in every mix of what a class can be built with: right, or refused with a sentence.

A map is right where it is what the block gives in a plain forward, `feature_info` says its channels and its stride, and
the head makes the logits of it. Another size of images is right where to cut and to resize may change places.
"""

from __future__ import annotations

import copy
from itertools import product
from typing import Any

import pytest
import torch
from timm.models._features import FeatureGetterNet
from torch import Tensor, nn

from nas.searchspaces import Architecture
from nas.searchspaces.axis_names import is_position
from nas.supernets import Supernet
from nas.supernets.carve import Whole, carve
from nas.supernets.families import family_of
from nas.supernets.slicing import Cut
from nas.testing.families import images, make, some

pytestmark = pytest.mark.filterwarnings("ignore")  # timm's, of what it resizes
VIT = "vit_tiny_patch16_224"
SMALL: dict[str, Any] = {
    "img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2, "num_classes": 5,
}  # fmt: skip
HYBRID = {key: value for key, value in SMALL.items() if key != "patch_size"} | {"img_size": 64}
STAGED: dict[str, Any] = {"img_size": 56, "embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4), "num_classes": 5}
SHORT: list[tuple[str, dict[str, Any]]] = [
    (VIT, {"reg_tokens": 2, "global_pool": "map", "dynamic_img_size": True}),
    (VIT, {"reg_tokens": 1, "no_embed_class": True}),
    (VIT, {"class_token": False, "reg_tokens": 4, "global_pool": "avg", "pool_include_prefix": True}),
    ("vit_giant_patch14_reg4_dinov2", {}),  # GluMlp
    ("aimv2_large_patch14_224", {}),  # SwiGLU, RMSNorm
    ("eva02_small_patch14_224", {}),
    ("beit_base_patch16_224", {}),
    ("vit_tiny_r_s16_p8_224", HYBRID),  # a stem that stays whole
    ("swin_tiny_patch4_window7_224", STAGED),
]
"""Mixes that differ most."""
TOKENS = [
    (VIT, {"class_token": token, "reg_tokens": registers, "global_pool": pool, "no_embed_class": apart})
    for token, registers, pool, apart in product(
        (True, False), (0, 1, 4), ("token", "avg", "map", "max", "avgmax"), (False, True)
    )
    if token or pool != "token"
]
PARTS = [
    {"dynamic_img_size": True}, {"dynamic_img_size": True, "reg_tokens": 2, "no_embed_class": True},
    {"dynamic_img_size": True, "global_pool": "map", "class_token": False}, {"pos_embed": "none"}, {"fc_norm": True},
    {"final_norm": False}, {"pre_norm": True, "fc_norm": True, "global_pool": "avg"}, {"qk_norm": True},
    {"pool_include_prefix": True, "global_pool": "map"}, {"init_values": 0.1},
]  # fmt: skip
NAMES = [
    "vit_giant_patch14_dinov2", "vit_base_patch16_siglip_224", "vit_so150m2_patch16_reg1_gap_256",
    "vit_betwixt_patch32_clip_224", "vit_base_patch16_clip_quickgelu_224", "vit_intern300m_patch14_448",
    "vit_little_patch16_reg4_gap_256", "flexivit_small", "deit3_small_patch16_224", "deit_tiny_distilled_patch16_224",
    "eva_giant_patch14_224", "eva02_large_patch14_clip_224", "vit_small_patch16_dinov3",
    "vit_small_patch16_rope_mixed_ape_224", "vit_small_patch16_rope_224", "vit_medium_patch16_rope_reg1_gap_256",
    "vit_pe_lang_large_patch14_448", "vit_pe_spatial_tiny_patch16_512", "vit_7b_patch16_dinov3",
    "beitv2_base_patch16_224",
]  # fmt: skip
OTHERS = [
    ("vit_pe_core_tiny_patch16_384", {"attn_pool_num_heads": 2}), ("vit_small_resnet26d_224", HYBRID),
    ("vit_base_r50_s16_224", HYBRID), ("vit_base_resnet50d_224", HYBRID),
    ("swinv2_tiny_window8_256", STAGED | {"img_size": 32, "window_size": 4}),
    ("swin_s3_tiny_224", STAGED | {"window_size": (7, 7)}),
]  # fmt: skip
ALL = [*TOKENS, *((VIT, part) for part in PARTS), *((name, {}) for name in NAMES), *OTHERS]


def made(name: str, args: dict[str, Any], kind: str) -> tuple[Supernet, dict[str, Any]]:
    """A small supernet of a mix."""
    own = args if "embed_dim" in args else SMALL | args
    return make(name, own, kind).eval(), own


@torch.no_grad()
def require_right_maps(model: Any, x: Tensor) -> None:
    """Maps, what is said of them, and what is made of the last one."""
    given: list[Tensor] = []
    inside = model.blocks if hasattr(model, "blocks") else model.layers
    handles = [module.register_forward_hook(lambda *call: given.append(call[2])) for module in inside.children()]
    logits = model(x)
    for handle in handles:
        handle.remove()
    final, maps = model.forward_intermediates(x)
    torch.testing.assert_close(model.forward_head(final), logits)
    prefix = getattr(model, "num_prefix_tokens", 0)
    for found, tokens in zip(maps, given, strict=True):
        placed = tokens.permute(0, 3, 1, 2) if tokens.dim() == 4 else tokens[:, prefix:].mT.reshape(found.shape)
        assert torch.equal(found, placed)
    said = [(entry["num_chs"], entry["reduction"]) for entry in model.feature_info]
    assert said == [(found.shape[1], x.shape[-1] // found.shape[-1]) for found in maps]
    features = FeatureGetterNet(copy.deepcopy(model), out_indices=[len(maps) - 1])
    assert torch.equal(features(x)[0], maps[-1])
    assert features.feature_info.channels() == [maps[-1].shape[1]]


@torch.no_grad()
def require_resized(supernet: Supernet, architecture: Architecture, model: Any, side: int) -> None:
    """Cut and resized computes what is resized and cut."""
    whole: Any = copy.deepcopy(supernet.model)
    if not hasattr(whole, "set_input_size"):
        return
    whole.set_input_size((side, side))
    model.set_input_size((side, side))
    family, sizes = family_of(whole), supernet.space.sizes(architecture)
    table = family.table(whole, supernet.space.axes)
    factors = Whole(whole, family, table, lambda entry, weight, keep: supernet._directions.of(entry, weight, keep))
    own = {axis: units for axis, units in sizes.items() if not is_position(axis)}
    x = images({"img_size": side})
    cut = carve(factors, dict(whole.named_parameters()), Cut(table.frame, own))
    torch.testing.assert_close(model(x), cut(x), rtol=1e-4, atol=1e-5)


def require_right(name: str, args: dict[str, Any], kind: str, count: int) -> None:
    """Every architecture tried gives right maps, or says why it gives none."""
    supernet, own = made(name, args, kind)
    for architecture in some(supernet.space, count):
        with torch.no_grad():
            model: Any = supernet.extract(architecture)
        sizes = supernet.space.sizes(architecture)
        chosen = {
            axis for axis, units in sizes.items() if is_position(axis) and units < supernet.table.frame.axes[axis]
        }
        if "forward_intermediates" in vars(model):
            assert chosen
            with pytest.raises(AssertionError, match="drops tokens"):
                model.forward_intermediates(images(own))
        else:
            require_right_maps(model, images(own))
        if chosen:
            with pytest.raises(AssertionError, match="chosen positions of one grid"):
                model.set_input_size((2 * own["img_size"],) * 2)
        elif not _for_one_grid(model):
            require_resized(supernet, architecture, model, 2 * own["img_size"])


def _for_one_grid(model: Any) -> bool:
    """Whether attention was written out for the places of one grid, which a model says when it is asked."""
    refusal = vars(model).get("set_input_size")
    if not isinstance(refusal, nn.Module):
        return False
    with pytest.raises(AssertionError, match="written for one grid"):
        refusal((64, 64))
    return True


@pytest.mark.parametrize(("name", "args"), SHORT)
@pytest.mark.parametrize("kind", ["mixed", "mixed inputs"])
def test_maps_of_mixes(name: str, args: dict[str, Any], kind: str) -> None:
    require_right(name, args, kind, 2)


@pytest.mark.long
@pytest.mark.parametrize(("name", "args"), ALL)
def test_maps_of_all_mixes(name: str, args: dict[str, Any]) -> None:
    for kind in ("mixed", "mixed inputs", "queries"):
        require_right(name, args, kind, 4)
