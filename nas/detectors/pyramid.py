"""Maps of a body, from fine to coarse, as what finds objects reads them: torchvision's pyramid on a Swin, the simple
pyramid of ViTDet (arXiv 2203.16527) on a ViT.

Shapes: maps are float, B x C x H x W.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, final

from timm.layers.norm import LayerNorm2d
from timm.layers.patch_embed import PatchEmbed
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import (
    ExtraFPNBlock,
    FeaturePyramidNetwork,
    LastLevelMaxPool,
    LastLevelP6P7,
)
from typing_extensions import override

from nas.detectors.options import DetectorOptions
from nas.errors import ModelError

MapSize = tuple[int, int]
"""Height and width of a map."""


class Pyramid(nn.Module, ABC):
    """Levels of `channels` each, one per stage, and maybe coarser ones."""

    named: Mapping[str, str] = {}
    """Parameters that follow the body's width -> the names of their axes."""

    @abstractmethod
    def stage_sizes(self, body: nn.Module) -> list[MapSize]:
        """Sizes of the maps that levels are made of, one per stage."""

    @abstractmethod
    def forward(self, body: nn.Module, images: Tensor) -> list[Tensor]:
        """The levels of the images (B x C x H x W), finest first."""

    @abstractmethod
    def applied(self, body: nn.Module) -> dict[str, int]:
        """To how many positions each weight is applied, per image."""

    def resized(self, width: int) -> None:
        """Follow another width of the body."""


def pyramid_of(body: nn.Module, options: DetectorOptions) -> Pyramid:
    """The pyramid on a body. Raises `ModelError` for one that gives no maps, or stages that it has not."""
    if type(body) is SwinTransformer:
        return SwinPyramid(body, options)
    if isinstance(body, VisionTransformer) and type(body.patch_embed) is PatchEmbed:
        return SimplePyramid(body, options)
    raise ModelError(f"{options.head}: {type(body).__name__} gives no maps; allowed: Swin, and ViT or DeiT on patches")


@final
class SwinPyramid(Pyramid):
    """A norm per stage, then torchvision's feature pyramid (arXiv 1612.03144). The last stage's norm is the body's."""

    def __init__(self, body: SwinTransformer, options: DetectorOptions) -> None:
        super().__init__()
        widths = [info["num_chs"] for info in body.feature_info]
        self.stages = _stages(options, len(widths))
        # Names of the published code: a norm behind each stage, but for the last one.
        self.norms = nn.ModuleDict({str(s): LayerNorm2d(widths[s], eps=1e-5) for s in self.stages[:-1]})
        extra = _extra(options, len(self.stages))
        self.fpn = FeaturePyramidNetwork([widths[s] for s in self.stages], options.channels, extra)

    @override
    def stage_sizes(self, body: nn.Module) -> list[MapSize]:
        swin: Any = body
        return [_resolution(swin, s) for s in self.stages]

    @override
    def forward(self, body: nn.Module, images: Tensor) -> list[Tensor]:
        swin: Any = body
        maps = swin.forward_intermediates(images, indices=list(self.stages), norm=True, intermediates_only=True)
        normed = [
            self.norms[str(s)](stage) if str(s) in self.norms else stage
            for s, stage in zip(self.stages, maps, strict=True)
        ]
        levels: dict[str, Tensor] = self.fpn(OrderedDict((str(s), m) for s, m in zip(self.stages, normed, strict=True)))
        return list(levels.values())

    @override
    def applied(self, body: nn.Module) -> dict[str, int]:
        positions = [height * width for height, width in self.stage_sizes(body)]
        applied: dict[str, int] = {}
        for i, n in enumerate(positions):
            applied |= {f"fpn.inner_blocks.{i}.0.weight": n, f"fpn.layer_blocks.{i}.0.weight": n}
        return applied | _applied_extra("fpn.extra_blocks", self.fpn.extra_blocks, self.stage_sizes(body)[-1])


def _resolution(swin: Any, stage: int) -> MapSize:
    """Height and width of a stage's map."""
    rows, columns = swin.patch_embed.grid_size
    for _ in range(stage):
        rows, columns = -(-rows // 2), -(-columns // 2)
    return rows, columns


SCALES = (4, 2, 1)
"""By how much a ViT's map is enlarged for its levels; one more halves it."""


@final
class SimplePyramid(Pyramid):
    """The last map of a ViT at four scales, each by itself: transposed convolutions, the map, or every second patch."""

    def __init__(self, body: VisionTransformer, options: DetectorOptions) -> None:
        super().__init__()
        width, channels = body.embed_dim, options.channels
        self.stages = _stages(options, len(SCALES) + 1)
        if width % 4:
            raise ModelError(f"{options.head}: the body is {width} wide; allowed: a multiple of 4")
        double, four = nn.ConvTranspose2d(width, width // 2, 2, 2), nn.ConvTranspose2d(width, width // 2, 2, 2)
        scaled: list[nn.Module] = [
            nn.Sequential(four, LayerNorm2d(width // 2), nn.GELU(), nn.ConvTranspose2d(width // 2, width // 4, 2, 2)),
            nn.Sequential(double),
            nn.Sequential(),
            nn.Sequential(nn.MaxPool2d(2)),
        ]
        widths = (width // 4, width // 2, width, width)
        self.scales = nn.ModuleDict({str(s): scaled[s] for s in self.stages})
        self.outputs = nn.ModuleDict({str(s): _output(widths[s], channels) for s in self.stages})
        self.extra = _extra(options, len(self.stages))
        # What reads the body's map follows its width.
        followed = {"scales.0.0.weight": f"embed {width // 2} 2 2", "scales.1.0.weight": f"embed {width // 2} 2 2"}
        followed |= {f"outputs.{s}.0.weight": f"{channels} embed 1 1" for s in (2, 3)}
        own = dict(self.named_parameters())
        self.named = {name: axes for name, axes in followed.items() if name in own}

    @override
    def stage_sizes(self, body: nn.Module) -> list[MapSize]:
        vit: Any = body
        rows, columns = vit.patch_embed.grid_size
        sizes = [*((rows * scale, columns * scale) for scale in SCALES), (rows // 2, columns // 2)]
        return [sizes[s] for s in self.stages]

    @override
    def forward(self, body: nn.Module, images: Tensor) -> list[Tensor]:
        vit: Any = body
        (patches,) = vit.forward_intermediates(images, indices=1, norm=True, intermediates_only=True)
        levels = [self.outputs[str(s)](self.scales[str(s)](patches)) for s in self.stages]
        if self.extra is not None:
            levels, _ = self.extra(levels, [patches], [])
        return levels

    @override
    def applied(self, body: nn.Module) -> dict[str, int]:
        vit: Any = body
        patches = vit.patch_embed.num_patches
        applied: dict[str, int] = {}
        for s, (height, width) in zip(self.stages, self.stage_sizes(body), strict=True):
            applied |= {f"outputs.{s}.{layer}.weight": height * width for layer in (0, 2)}
        # A transposed convolution applies its weight to every position that it reads.
        upsampling = {"scales.0.0.weight": patches, "scales.0.3.weight": 4 * patches, "scales.1.0.weight": patches}
        own = dict(self.named_parameters())
        applied |= {name: n for name, n in upsampling.items() if name in own}
        return applied | _applied_extra("extra", self.extra, self.stage_sizes(body)[-1])

    @override
    def resized(self, width: int) -> None:
        for name in self.named:
            layer: Any = self.get_submodule(name.removesuffix(".weight"))
            layer.in_channels = width


def _output(inputs: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, channels, 1, bias=False), LayerNorm2d(channels),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False), LayerNorm2d(channels),
    )  # fmt: skip


def _stages(options: DetectorOptions, count: int) -> tuple[int, ...]:
    """The stages that levels are made of. Raises `ModelError`."""
    first = max(0, count - 3) if options.head == "retinanet" else 0
    stages = options.stages or tuple(range(first, count))
    if list(stages) != sorted(set(stages)) or stages[-1] != count - 1:
        raise ModelError(
            f"stages: found {', '.join(map(str, stages))}; allowed: ascending numbers from 0, the last one {count - 1}"
        )
    return stages


def _extra(options: DetectorOptions, stages: int) -> ExtraFPNBlock | None:
    """What makes the levels beyond the stages. Raises `ModelError`."""
    if options.head == "fcn":
        return None
    strided = options.head == "retinanet"
    beyond, step = len(options.anchors) - stages, 2 if strided else 1
    if beyond not in (0, step):
        raise ModelError(
            f"anchors: found {len(options.anchors)} levels on {stages} stages; allowed for {options.head}: {stages} or "
            f"{stages + step}"
        )
    if not beyond:
        return None
    return LastLevelP6P7(options.channels, options.channels) if strided else LastLevelMaxPool()


def level_sizes(pyramid: Pyramid, body: nn.Module, levels: int) -> list[MapSize]:
    """Sizes of all levels; each beyond the stages has every second position of the one before."""
    sizes = pyramid.stage_sizes(body)
    while len(sizes) < levels:
        sizes.append(_halved(sizes[-1]))
    return sizes


def _halved(size: MapSize) -> MapSize:
    return -(-size[0] // 2), -(-size[1] // 2)


def _applied_extra(path: str, extra: nn.Module | None, last: MapSize) -> dict[str, int]:
    if not isinstance(extra, LastLevelP6P7):
        return {}
    six = _halved(last)
    seven = _halved(six)
    return {f"{path}.p6.weight": six[0] * six[1], f"{path}.p7.weight": seven[0] * seven[1]}
