"""What search spaces, which know no torch, must know of a timm model: an entry point of the group "nas.outlines"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.searchspaces import Outline
from nas.supernets.anatomy import anatomy


def outline(model: str, model_args: Mapping[str, Any]) -> Outline:
    """The axes of a timm model by name; nothing is allocated, whatever its size. Raises `ModelError`."""
    return anatomy(model, model_args).outline
