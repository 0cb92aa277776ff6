"""Supernets inside timm models: axes, families, carving, gates, cost, extraction.

What needs torch is loaded on first use, so that outlines and costs of models that were seen before are quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nas.supernets.cost import Cost
from nas.supernets.outline import outline

if TYPE_CHECKING:
    from nas.supernets.checkpoint import load_weights
    from nas.supernets.saved import Blueprint, load, read_blueprint, save
    from nas.supernets.supernet import Supernet
    from nas.supernets.timm_models import build

__all__ = ["Blueprint", "Cost", "Supernet", "build", "load", "load_weights", "outline", "read_blueprint", "save"]

_HOMES = {
    "Blueprint": "nas.supernets.saved",
    "Supernet": "nas.supernets.supernet",
    "build": "nas.supernets.timm_models",
    "load": "nas.supernets.saved",
    "load_weights": "nas.supernets.checkpoint",
    "read_blueprint": "nas.supernets.saved",
    "save": "nas.supernets.saved",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nas.supernets' has no attribute '{name}'; there are: {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
