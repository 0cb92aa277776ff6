"""Swin and detectors as ONNX: seconds each, so for `make long`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from detector_spaces import on_pyramid, on_tokens, space_of, supernet_of

from nas import cli
from nas.supernets import save

pytest.importorskip("onnxruntime", reason="ONNX is an extra: pip install 'nas[onnx]'")
SWIN = {"img_size": 32, "window_size": 4, "depths": [2, 2], "embed_dim": 24, "num_heads": [2, 4], "num_classes": 10}
ALPHA = {"alpha": {"divide": ["heads", "mlp"], "by": [2], "per": "block"}, "qkv_in": {"size": [0.5], "per": "block"}}


@pytest.mark.long
@pytest.mark.parametrize(
    ("space", "options"),
    [
        (lambda: space_of("swin_tiny_patch4_window7_224", SWIN, ALPHA), []),
        (lambda: on_pyramid("swin", "cascade_mask_rcnn"), ["--part", "maps"]),
        (lambda: on_pyramid("vit", "retinanet"), ["--part", "maps"]),
        (on_tokens, []),
    ],
    ids=["swin", "cascade_mask_rcnn", "retinanet", "yolos"],
)
def test_they_leave(space: Any, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    supernet = supernet_of(space())
    smallest = supernet.space.smallest
    save(tmp_path / "model", supernet.extract(smallest), supernet.blueprint(smallest))
    command = ["export", str(tmp_path / "model"), "--onnx", str(tmp_path / "model.onnx")]
    if options or supernet.space.model.startswith("vit"):
        wrong = [] if options else ["--part", "maps"]
        assert cli.main([*command, *wrong]) == 2
        assert "--part" in capsys.readouterr().err
    assert cli.main([*command, *options]) == 0
    assert "2 and 5 at a time" in capsys.readouterr().out
