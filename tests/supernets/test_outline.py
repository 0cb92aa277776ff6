"""Building models by name, and what a space is told of them."""

from __future__ import annotations

from typing import Any

import pytest
import timm

from nas.errors import ModelError
from nas.supernets import build, outline


def test_outline_of_a_vit_and_a_swin() -> None:
    vit = outline("deit_tiny_patch16_224", {})
    assert (vit.axes["embed"], vit.axes["heads.11"], vit.axes["mlp.0"], vit.axes["tokens.3"]) == (192, 3, 768, 197)
    assert vit.protected["tokens.0"] == 1
    assert vit.within["queries.0"] == "tokens.0"
    swin = outline("swin_tiny_patch4_window7_224", {})
    assert (swin.axes["heads.3.1"], swin.axes["mlp.2.5"]) == (24, 1536)
    assert "tokens" not in swin.elastic


@pytest.mark.parametrize(
    ("model", "args", "message"),
    [
        ("deit_tini_patch16_224", {}, "did you mean 'deit_tiny_patch16_224'"),
        ("deit_tiny_patch16_224", {"embed_dims": 3}, "unexpected keyword argument 'embed_dims'"),
        ("deit_tiny_patch16_224", {"embed_dim": 100}, "cannot build .* embed_dim=100"),
        ("deit_tiny_patch16_224", {"checkpoint_path": "a.pth"}, "may not hold checkpoint_path"),
        ("deit_tiny_patch16_224", {"pretrained_cfg": {"a": 1}}, "is a mapping"),
        ("deit_tiny_patch16_224", {"img_size": [[{"a": 1}]]}, "or holds one"),
        ("deit_tiny_patch16_224", {"depth": 0}, "no blocks"),
        ("swin_tiny_patch4_window7_224", {"depths": [2, 0, 2]}, "without blocks"),
        ("swin_tiny_patch4_window7_224", {"img_size": 3}, "patch"),
    ],
)
def test_faults(model: str, args: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        outline(model, args)


def test_pretrained_weights_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ModelError, match="finds no pretrained weights of 'deit_tiny_patch16_224' here: no route"):
        build("deit_tiny_patch16_224", {}, pretrained=True)
