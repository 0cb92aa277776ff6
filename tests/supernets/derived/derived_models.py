"""Small models of classes whose axes are derived."""

from __future__ import annotations

from typing import Any

import timm
from torch import nn

from nas.testing.families import randomise

SMALL: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3},
    "eva02_tiny_patch14_224": {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3},
    "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (8, 12, 16, 20)},
    "swinv2_tiny_window8_256": {
        "img_size": 32,
        "window_size": 4,
        "embed_dim": 12,
        "depths": (1, 1),
        "num_heads": (2, 3),
    },
    "swin_tiny_patch4_window7_224": {"img_size": 56, "embed_dim": 24, "depths": (1, 1), "num_heads": (2, 4)},
    "levit_128s": {"img_size": 64, "embed_dim": (16, 24), "depth": (1, 1), "num_heads": (2, 3), "key_dim": 8},
}
SIDES = {"levit_128s": 64, "swin_tiny_patch4_window7_224": 56}


def small(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    """A small model with random values, in double precision, and the shape of its images."""
    model = randomise(timm.create_model(name, num_classes=5, **SMALL[name])).double()
    for buffer, tensor in model.named_buffers():
        if buffer.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    side = SIDES.get(name, 32)
    return model, (3, side, side)
