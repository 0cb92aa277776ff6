"""Learning rates that a study gives for so many images, as they are for those of its optimiser steps."""

from __future__ import annotations

from collections.abc import Mapping

from nas.documents.text import Plain
from nas.numbers import scaled_rate


def scaled_rates(settings: Mapping[str, Plain]) -> list[str]:
    """A line for each stage of a resolved study whose rate is scaled: "base: 0.001 for 1024 images a step (...)"."""
    lines = []
    for stage, recipe in settings.items():
        # Other mappings, and those of runs of earlier versions, have no such key.
        if not isinstance(recipe, Mapping) or recipe.get("lr_base_size") is None:
            continue
        rate, per, images = float(recipe["lr"]), int(recipe["lr_base_size"]), recipe["batch"] * recipe["accumulate"]
        peak = scaled_rate(rate, images / per, str(recipe["lr_base_scale"]))
        lines.append(f"{stage}: {peak:g} for {images} images a step (lr {rate:g} per {per} images)")
    return lines
