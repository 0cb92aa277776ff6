"""timm's own transforms for training: random crops, colours, RandAugment, random erasing, mixup and CutMix."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, cast, final

from PIL.Image import Image
from pydantic import AfterValidator
from torch import Tensor
from typing_extensions import override

from nas.data.transforms.augmentation import Augmentation, Transform
from nas.data.transforms.posterize import allow_no_bits
from nas.data.transforms.seeded import seeded
from nas.documents.conditions import Above, Contains, Is, ReadWith
from nas.numbers import Share, above, number, whole
from nas.preprocessing import Interpolation, Preprocessing
from nas.tasks import Mixing, MixupMode

OFF = "none"
_NUMBER = r"\d+(\.\d+)?"
_POLICIES = re.compile(
    rf"rand(-(m\d+|n\d+|p{_NUMBER}|mstd{_NUMBER}|mmax\d+|inc[01]|tweights|t3a|t3aw))*"
    rf"|augmix(-(m\d+|w\d+|d\d+|a{_NUMBER}|b[01]|mstd{_NUMBER}))*"
    rf"|(v0|v0r|original|originalr|3a)(-mstd{_NUMBER})?"
)
"""What timm's parser knows. It passes over, or stops at, what it does not know."""


def _policy(text: str) -> str:
    if text != OFF and not _POLICIES.fullmatch(text):
        raise ValueError("none, or timm's name of a policy, such as rand-m9-mstd0.5-inc1, augmix-m5-w4, original, 3a")
    return text


def _ascending(least_and_most: tuple[float, float]) -> tuple[float, float]:
    if least_and_most[0] > least_and_most[1]:
        raise ValueError("the least and the most, in this order")
    return least_and_most


Interval = Annotated[
    tuple[Annotated[float, above(0, 100)], Annotated[float, above(0, 100)]], AfterValidator(_ascending)
]
Strength = Annotated[float, number(0, 100)]
Alpha = Annotated[float, number(0, 1000)]
MIXED = ReadWith(Above("mixup", 0), Above("cutmix", 0))
JITTERED = ReadWith(Is("auto_augment", OFF), Contains("auto_augment", "3a"))
ERASED = ReadWith(Above("re_prob", 0))


@final
@dataclass(frozen=True, kw_only=True)
class WithTimm(Augmentation):
    """timm's transforms under timm's names; what is left out is as in timm's training script.

    scale, ratio           area (of the picture's) and ratio of sides of the part that is cut out: [least, most]
                           (default: timm's for the mode)
    train_crop_mode        rrc: that part, resized; rkrc, rkrr: the picture resized to about the image's size, and cut
                           in its middle or at random; what is missing is mirrored
    hflip, vflip           how probable it is that a picture is mirrored left to right, top to bottom
    color_jitter           strength: of brightness, contrast and saturation, or a list of these three, or four with hue;
                           timm does it where auto_augment is none or 3a: RandAugment and the others take its place
    color_jitter_prob      how probable it is (default: always)
    grayscale_prob, gaussian_blur_prob
                           how probable it is that colours are taken out, that the picture is blurred
    auto_augment           none, or timm's name of a policy: RandAugment (rand-m9-mstd0.5-inc1), AugMix (augmix-m3),
                           AutoAugment (original, v0), DeiT III's three (3a)
    interpolation          of the crop and of what turns and shears: one, or random (bilinear or bicubic)
    re_prob                how probable it is that a rectangle is erased, after normalisation
    re_mode, re_count      erased to the mean (const), to one random colour (rand), or each pixel (pixel); at most so
                           many rectangles
    mixup, cutmix          alpha of the Beta distribution, 0 = off; with both on, each batch takes one of them
    mixup_prob             how probable it is that any of both is done
    mixup_switch_prob      how probable CutMix is, with both on
    mixup_mode             one draw for the batch, for each pair of images (pair), for each image (elem)
    aug_repeats            so often a picture comes in a row, each time varied anew; an epoch has as many images as
                           without, and so fewer pictures (Hoffer et al., arXiv 1901.09335); 0, 1 = once
    """

    scale: Interval | None = None
    ratio: Interval | None = None
    train_crop_mode: Literal["rrc", "rkrc", "rkrr"] = "rrc"
    hflip: Share = 0.5
    vflip: Share = 0.0
    color_jitter: Annotated[
        Strength | tuple[Strength, Strength, Strength] | tuple[Strength, Strength, Strength, Share], JITTERED
    ] = 0.4
    color_jitter_prob: Annotated[Share | None, JITTERED] = None
    grayscale_prob: Share = 0.0
    gaussian_blur_prob: Share = 0.0
    auto_augment: Annotated[str, AfterValidator(_policy)] = OFF
    interpolation: Interpolation | Literal["random"] = "random"
    re_prob: Share = 0.0
    re_mode: Annotated[Literal["const", "rand", "pixel"], ERASED] = "pixel"
    re_count: Annotated[int, whole(1, 100), ERASED] = 1
    mixup: Alpha = 0.0
    cutmix: Alpha = 0.0
    mixup_prob: Annotated[Share, MIXED] = 1.0
    mixup_switch_prob: Annotated[Share, ReadWith(Above("mixup", 0)), ReadWith(Above("cutmix", 0))] = 0.5
    mixup_mode: Annotated[MixupMode, MIXED] = "batch"
    aug_repeats: Annotated[int, whole(0, 100)] = 0

    @override
    def transform(self, size: int, preprocessing: Preprocessing) -> Transform:
        return _Seeded(self, size, preprocessing)

    @property
    @override
    def mixing(self) -> Mixing:
        return Mixing(self.mixup, self.cutmix, self.mixup_prob, self.mixup_switch_prob, self.mixup_mode)

    @property
    @override
    def repeats(self) -> int:
        return max(1, self.aug_repeats)


@final
@dataclass(frozen=True, eq=False)
class _Seeded:
    """timm's transform of one picture, as a function of its seed. It is built where it is first called."""

    augmentation: WithTimm
    size: int
    preprocessing: Preprocessing

    @property
    def normalises(self) -> bool:
        # Erased pixels are zeros and normal numbers of normalised images: no bytes are these.
        return self.augmentation.re_prob > 0

    def __call__(self, picture: Image, seed: int) -> Tensor:
        with seeded(seed):
            return self._transform(picture)

    @cached_property
    def _transform(self) -> Callable[[Image], Tensor]:
        from timm.data.transforms_factory import create_transform

        how = self.augmentation
        transform = create_transform(
            self.size,
            is_training=True,
            train_crop_mode=how.train_crop_mode,
            scale=how.scale,
            ratio=how.ratio,
            hflip=how.hflip,
            vflip=how.vflip,
            color_jitter=how.color_jitter,
            color_jitter_prob=how.color_jitter_prob,
            grayscale_prob=how.grayscale_prob,
            gaussian_blur_prob=how.gaussian_blur_prob,
            auto_augment=None if how.auto_augment == OFF else how.auto_augment,
            interpolation=how.interpolation,
            mean=self.preprocessing.mean,
            std=self.preprocessing.std,
            re_prob=how.re_prob,
            re_mode=how.re_mode,
            re_count=how.re_count,
            normalize=self.normalises,
        )
        allow_no_bits(transform)
        return cast("Callable[[Image], Tensor]", transform)
