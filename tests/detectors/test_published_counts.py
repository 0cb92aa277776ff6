"""Numbers that papers and published code state, to the unit where they do; nothing is allocated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from detector_spaces import space_of

from nas import Architecture
from nas.studies.file.resolve import resolve
from nas.supernets.of_space import cost_of

PAPERS = Path(__file__).parents[2] / "studies" / "papers"
SWIN, DEIT = "swin_tiny_patch4_window7_224", "deit_small_patch16_224"
SIDT = {"head_dim": {"size": [0.6, 0.8, 1.0], "per": "model"}, "mlp": {"size": [0.6, 0.8, 1.0], "per": "model"}}
MCF = {"fc1_in": {"size": [0.6, 1.0], "per": "model"}, "mlp": {"size": [0.6, 1.0], "per": "model"}}


def costs(head: str, choices: dict[str, Any], share: float = 1.0) -> dict[str, int]:
    """Of COCO's 80 classes at 800 x 1280 pixels, by default all of the body."""
    args = {"img_size": [800, 1280], "detector": {"head": head, "classes": 80}}
    space = space_of(SWIN, args, choices)
    rows = {name: next(v for v in choice.values if v == share) for name, choice in space.items()}
    table = space.to_table([rows])
    cost = cost_of(space)
    return {name: int(cost.of(name, table)[0]) for name in cost.bases}


def test_cascade_mask_rcnn_on_swin_tiny() -> None:
    whole = costs("cascade_mask_rcnn", SIDT)
    # 27,517,818 of the body and 2,880 of four norms: the last norm is the body's own here.
    assert whole["params"] == 85_629_804
    assert whole["body_params"] == 27_517_818 + 2 * 768
    assert whole["body_macs"] == 95_563_250_688
    assert round(whole["macs"] / 1e9, 2) == 744.80


@pytest.mark.parametrize(("share", "params", "body"), [(0.8, 80_280_006, 22_169_556), (0.6, 75_207_878, 17_097_428)])
def test_sidt_cuts_the_body(share: float, params: int, body: int) -> None:
    cut = costs("cascade_mask_rcnn", SIDT, share)
    assert (cut["params"], cut["body_params"]) == (params, body)


@pytest.mark.parametrize(
    ("study", "base", "cut"),
    [
        ("sidt_cascade_mask_rcnn_swin_tiny_coco", {"params": 85_629_804, "body_macs": 95_563_250_688}, 0),
        # 30,684,768 with the 92 outputs of the published weights, whose ids have gaps; the file names 80 categories.
        ("mcf_yolos_small_coco", {"params": 30_684_768 - 11 * 385, "body_params": 22_330_752}, 23_307_540 - 11 * 385),
    ],
)
def test_studies_of_the_papers(study: str, base: dict[str, int], cut: int) -> None:
    """The files themselves cost what the papers' models cost."""
    of = resolve(PAPERS / f"{study}.yaml", without_files=True)
    assert {name: of.cost.base(name) for name in base} == base
    if cut:
        shares = {choice.name: min(choice.values, key=lambda share: abs(share - 0.6)) for choice in of.space.values()}
        assert of.cost.counts(Architecture(shares))["params"] == cut


def test_mask_rcnn_on_swin_tiny() -> None:
    whole = costs("mask_rcnn", SIDT)
    assert whole["params"] == 47_798_959
    assert round(whole["macs"] / 1e9, 2) == 266.58


def test_one_box_for_all_classes() -> None:
    args = {"img_size": [800, 1280], "detector": {"head": "cascade_mask_rcnn", "classes": 80, "class_agnostic": True}}
    assert cost_of(space_of(SWIN, args, SIDT)).base("params") == 84_658_104


def test_yolos_on_deit_small() -> None:
    """Positions of 512 x 864 pixels; the multiplications are those of pictures of 800 x 1104."""
    args = {"img_size": [512, 864], "detector": {"head": "yolos", "classes": 91}}
    space = space_of(DEIT, args, MCF)
    cost = cost_of(space)
    assert (cost.base("params"), cost.base("body_params")) == (30_684_768, 22_330_752)
    assert cost.counts(space.smallest)["params"] == 23_307_540
    larger = cost_of(space_of(DEIT, args | {"img_size": [800, 1104]}, MCF))
    assert larger.base("body_macs") == 192_628_270_080
    assert round(larger.counts(space.smallest)["macs"] / 1e9, 1) == 166.5
