"""Whether timm's pretrained weights of a model can be had here: asked before a study spends time on what comes earlier.

timm looks for them in a file, in its hub's cache, or at an address; nothing is fetched here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import huggingface_hub
import timm
import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

from nas.supernets.derived.sources import TIMM, library

FILES = ("model.safetensors", "pytorch_model.bin")
"""What timm asks its hub for, in this order, where a model's configuration names no file."""
WAIT = 5.0
"""Seconds for which a server may be silent."""


@final
@dataclass(frozen=True)
class PublishedWeights:
    """Where timm's weights of a model are: `here`, on this machine; else `size` (bytes, None where nobody says it) of
    what will be fetched, or, as a clause, why they cannot be (`lacking`).
    """

    here: bool
    size: int | None = None
    lacking: str = ""


def has_weights(model: str) -> bool:
    """Whether timm has pretrained weights for a model of its own, on this machine or elsewhere."""
    known = _config(model)
    return known is not None and bool(known.has_weights)


def usual_side(model: str) -> int | None:
    """Side, in pixels, of the images that one of timm's models takes when nobody says another; None where it does not
    say.
    """
    known = _config(model)
    return None if known is None else int(known.input_size[-1])


def are_here(model: str) -> bool:
    """Whether they are on this machine. No network is asked."""
    known = _config(model)
    if known is None or not known.has_weights:
        return False
    if known.file:
        return Path(known.file).is_file()
    if known.hf_hub_id:
        repository, revision = _repository(known)
        found = [try_to_load_from_cache(repository, name, revision=revision) for name in _files(known)]
        return any(isinstance(path, str) for path in found)
    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(known.url).name).is_file()


def published(model: str) -> PublishedWeights:
    """The same, and, where they are not here, whether their server answers: that may take `WAIT` seconds."""
    if are_here(model):
        return PublishedWeights(here=True)
    known = _config(model)
    if known is None or not known.has_weights:
        return PublishedWeights(here=False, lacking="nowhere")
    if not known.hf_hub_id:
        return PublishedWeights(here=False)
    repository, revision = _repository(known)
    refusal = "no file of weights"
    for name in _files(known):
        try:
            found = get_hf_file_metadata(hf_hub_url(repository, name, revision=revision), timeout=WAIT)
            return PublishedWeights(here=False, size=found.size)
        except huggingface_hub.errors.EntryNotFoundError:
            continue
        except Exception as fault:  # whatever is wrong between here and there
            refusal = (str(fault).splitlines() or [""])[0] or type(fault).__name__
            break
    return PublishedWeights(here=False, lacking=f"neither in its cache nor to be fetched ({refusal})")


def _config(model: str) -> Any:
    """What timm knows of the weights of a model of its own."""
    if library(model) != "timm":
        return None
    return timm.models.get_pretrained_cfg(model.removeprefix(TIMM))


def _repository(config: Any) -> tuple[str, str | None]:
    name, _, revision = config.hf_hub_id.partition("@")
    return name, revision or None


def _files(config: Any) -> tuple[str, ...]:
    return (config.hf_hub_filename,) if config.hf_hub_filename else FILES
