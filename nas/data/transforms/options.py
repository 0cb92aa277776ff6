"""`augment:` of a recipe: a name, a preset, or a mapping with `use:` and options."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from nas.data.transforms.annotated import AnnotatedAugmentation
from nas.data.transforms.augmentation import Augmentation, Crop, CropAndFlip, Unchanged
from nas.data.transforms.with_timm import WithTimm
from nas.documents.markers import Plugged
from nas.documents.plugged import checked, plugin_of

KINDS: Mapping[str, type[Augmentation]] = {
    "none": Unchanged,
    "crop": Crop,
    "crop+flip": CropAndFlip,
    "timm": WithTimm,
    "annotated": AnnotatedAugmentation,
}


@cache
def presets() -> Mapping[str, Path]:
    """The papers' augmentations, and where their files lie."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "presets").glob("*.yaml"))}


AUGMENTATION = Plugged("augmentation", lambda: tuple(KINDS), KINDS.__getitem__, presets=presets)
AugmentOptions = Annotated[
    str | Mapping[str, Any], AUGMENTATION, AfterValidator(partial(checked, plugged=AUGMENTATION))
]
"""An augmentation's name, a preset, or a mapping with `use:` (any of them) and options."""


def augmentation_of(options: str | Mapping[str, Any]) -> Augmentation:
    """The augmentation that options describe. Raises `ConfigError` if they are wrong."""
    return plugin_of(options, AUGMENTATION)
