"""Axes of timm's models of many kinds: right by units in another order and by costs. `python -m benchmarks.coverage`
tries all names; these are small, and of kinds that no other test has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import timm

from benchmarks.shrinking import Instance, told
from nas.supernets.derived.checking import check
from nas.supernets.timm_models import outlined

ONES = (1, 1, 1, 1)
WIDTHS, HEADS = (8, 16, 24, 32), (1, 2, 3, 4)
PLAIN = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "num_heads": 3}
STAGES = {"depths": ONES, "embed_dims": WIDTHS, "num_heads": HEADS}
SMALL: dict[str, dict[str, Any]] = {
    "caformer_s18": {"depths": ONES, "dims": (8, 16, 32, 64)},
    "cait_xxs24_224": {**PLAIN, "depth": 1},
    "coat_lite_tiny": {"img_size": 64, "serial_depths": ONES, "embed_dims": (16, 32, 48, 64), "num_heads": 8},
    "coatnet_0_rw_224": {"img_size": 64, "cfg": {"depths": ONES, "embed_dim": (32, 32, 32, 64), "stem_width": 8}},
    "davit_tiny": {"depths": ONES, "embed_dims": WIDTHS, "num_heads": (2, 2, 2, 4)},
    "edgenext_xx_small": {"depths": (1, 2, 2, 2), "dims": WIDTHS, "heads": (2, 2, 2, 2)},
    "efficientvit_b0": {"widths": (8, 8, 16, 16, 32), "depths": (1, *ONES), "head_dim": 8, "head_widths": (24, 40)},
    "fastvit_s12": {"layers": ONES, "embed_dims": (8, 16, 32, 64)},
    "focalnet_tiny_lrf": {"depths": ONES, "embed_dim": 8},
    "gmlp_s16_224": {"img_size": 32, "patch_size": 8, "embed_dim": 16, "num_blocks": 1},
    "hiera_tiny_224": {"img_size": 64, "stages": ONES, "embed_dim": 8},
    "mambaout_femto": {"depths": ONES, "dims": WIDTHS},
    "maxvit_tiny_rw_224": {"img_size": 64, "cfg": {"depths": ONES, "embed_dim": (32, 32, 32, 64), "stem_width": 8}},
    "mvitv2_tiny": {"img_size": 64, "cfg": {"depths": ONES, "embed_dim": WIDTHS, "num_heads": HEADS}},
    "nest_tiny": {"img_size": 64, "depths": (1, 1, 1), "embed_dims": (8, 16, 24), "num_heads": (2, 2, 3)},
    "pit_xs_224": {"img_size": 64, "depth": (1, 1, 1), "base_dims": (8, 8, 8), "heads": (1, 2, 4)},
    "pvt_v2_b0": STAGES,
    "tiny_vit_5m_224": {**STAGES, "window_sizes": (4, 4, 4, 4)},
    "twins_pcpvt_small": {**STAGES, "img_size": 64},
    "vit_relpos_small_patch16_224": {**PLAIN, "depth": 1},
    "volo_d1_224": {"img_size": 64, "layers": ONES, "embed_dims": (16, 32, 32, 32), "num_heads": (2, 4, 4, 4)},
    "xcit_nano_12_p16_224": {**PLAIN, "depth": 1},
}
BLOCKS: dict[str, dict[str, Any]] = {
    "vit_base_patch16_rpn_224": PLAIN,  # norms behind the branches
    "vit_base_patch16_xp_224": PLAIN,  # one layer writes queries, keys, values and hidden units
    "vit_small_patch16_18x2_224": PLAIN,  # two of each side by side
    "vit_dwee_patch16_reg1_gap_256": {**PLAIN, "num_heads": 2},  # the weights of two softmaxes are subtracted
    "vit_dpwee_patch16_reg1_gap_256": {**PLAIN, "num_heads": 2},  # both
    "swinv2_cr_tiny_224": {**STAGES, "img_size": 64, "window_size": 4, "embed_dim": 12, "num_heads": (2, 2, 3, 4)},
}
"""Kinds of blocks that have no table by hand."""


@pytest.mark.parametrize("name", list(SMALL))
def test_axes_and_costs_hold(name: str) -> None:
    """All kinds of axes at once: the smallest slice halves them all."""
    own, changes = Instance(name, type(outlined(name, {}))), dict(SMALL[name])
    if "cfg" in changes:
        changes["cfg"] = replace(told(own)["cfg"], **changes["cfg"])
    side = changes.get("img_size", 64)
    model = replace(own, changes=changes).build("cpu")
    proofs = list(check(model, (3, side, side), proofs=("order", "costs"), at_once=True))
    assert len(proofs) > 1
    assert all(proof.good for proof in proofs), proofs


@pytest.mark.parametrize("name", list(BLOCKS))
def test_blocks_without_a_table_have_all_choices_of_those_with_one(name: str) -> None:
    args = {key: value for key, value in BLOCKS[name].items() if key != "embed_dims"}
    own = args if "depths" in args else {**args, "depth": 1}
    model = timm.create_model(name, num_classes=5, **own)
    proofs = list(check(model, (3, own["img_size"], own["img_size"]), proofs=("order", "costs"), at_once=True))
    assert {"embed", "heads", "head_dim", "mlp", "depth", "rank"} <= {proof.kind for proof in proofs}
    assert all(proof.good for proof in proofs), proofs
