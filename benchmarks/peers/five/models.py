"""Five small models for CIFAR-10: plain, with windows, convolutions, both, and with torch's own attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import timm
import torch
from timm.models.metaformer import MetaFormer
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import VisionTransformer

from benchmarks.shrinking import Instance

CLASSES = 10


@final
@dataclass(frozen=True)
class Subject:
    """A model, and the side of its images."""

    build: Callable[[], nn.Module]
    side: int = 32

    @property
    def image(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return 3, self.side, self.side

    def model(self, seed: int) -> nn.Module:
        """A new one."""
        torch.manual_seed(seed)
        return self.build()


def _of_timm(name: str, side: int = 32, **sizes: Any) -> Subject:
    return Subject(lambda: timm.create_model(name, num_classes=CLASSES, **sizes), side)


SUBJECTS: Mapping[str, Subject] = {
    "vit": _of_timm("vit_tiny_patch16_224", img_size=32, patch_size=4, embed_dim=48, depth=3, num_heads=3),
    "swin": _of_timm(
        "swin_tiny_patch4_window7_224",
        img_size=32, patch_size=2, window_size=4, embed_dim=24, depths=(2, 2), num_heads=(2, 4),
    ),
    "convnext": _of_timm("convnext_atto", patch_size=2, depths=(1, 1, 2, 1), dims=(24, 48, 72, 96)),
    "caformer": Subject(
        # Its function takes no other sizes.
        lambda: Instance("caformer_s18", MetaFormer, {"depths": (1, 1, 2, 1), "dims": (16, 32, 64, 96)}).build("cpu"),
        64,
    ),
    "vit of torchvision": Subject(
        lambda: VisionTransformer(
            image_size=32, patch_size=4, num_layers=3, num_heads=3, hidden_dim=48, mlp_dim=192, num_classes=CLASSES
        )
    ),
}  # fmt: skip


def macs(model: nn.Module, image: tuple[int, int, int]) -> int:
    """Of one image, as torch counts them."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, *image))
    return int(counter.get_total_flops() // 2)
