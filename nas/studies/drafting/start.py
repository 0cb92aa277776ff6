"""Where a first study can begin on this machine: a file of weights, timm's, or fresh ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

from nas.supernets.published import has_weights, published


@final
@dataclass(frozen=True)
class Start:
    """Whether it begins with timm's weights (`pretrained`) or with any that were trained; in words, where."""

    pretrained: bool
    trained: bool
    words: str


def start_of(model: str, checkpoint: Path | None, *, fresh: bool) -> Start:
    """Of a model; `fresh` where its weights are not to be timm's."""
    if checkpoint is not None:
        return Start(pretrained=False, trained=True, words=f"the weights in {checkpoint}")
    if fresh or not has_weights(model):
        return Start(pretrained=False, trained=False, words="fresh weights")
    weights = published(model)
    if weights.lacking:
        return Start(pretrained=False, trained=False, words=f"fresh weights: timm's are {weights.lacking}")
    size = "" if weights.size is None else f" ({weights.size / 1e6:.0f} MB)"
    found = "in its cache" if weights.here else f"which nas run fetches once{size}"
    return Start(pretrained=True, trained=True, words=f"timm's pretrained weights, {found}")
