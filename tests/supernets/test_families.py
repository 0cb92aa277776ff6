"""Every family passes the conformance suite; what is not supported is refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest
import timm
from torch import nn

from nas.errors import ModelError
from nas.supernets.families import families, family_of
from nas.testing.families import FamilySuite


class TestFamilies(FamilySuite):
    """Runs the suite on all families found."""


def test_the_families_are_found() -> None:
    assert [type(family).__name__ for family in families()] == [
        "Beit",
        "Derived",
        "Eva",
        "Swin",
        "SwinV2",
        "T2t",
        "Vit",
    ]


def test_an_unsupported_class_is_refused_with_what_is_supported() -> None:
    with pytest.raises(
        ModelError,
        match=r"Linear cannot become a supernet; supported .*Beit, Eva, SwinTransformer, SwinTransformerV2, T2T",
    ):
        family_of(nn.Linear(2, 2))


SMALL: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 4}


@pytest.mark.parametrize(
    ("model", "args", "reason"),
    [
        ("vit_tiny_patch16_224", {"global_pool": "prr"}, "attn_pool is a AttentionPoolPrr"),
        ("vit_base_patch16_rpn_224", {}, "ResPostBlock"),
        ("vit_tiny_patch16_224", {"depth": 0}, "no blocks"),
        ("vit_tiny_patch16_224", {"patch_size": 64}, "no patches"),
    ],
)
def test_an_unsupported_variant_is_refused_with_the_reason(model: str, args: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        family_of(timm.create_model(model, **SMALL | args))
