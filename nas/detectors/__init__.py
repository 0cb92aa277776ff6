"""Detectors: models that hold a vision transformer, their body, and find objects in its maps or tokens.

A search space may name one in its `model_args`, `detector: {head: faster_rcnn, classes: 80}`; tasks do so for a study.
The supernet then takes the whole detector, and the body's family its axes at the path `body`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.detectors._base import Detector
    from nas.detectors.options import DetectorOptions
    from nas.detectors.outputs import Detections, DetectorOutputs, Supervised, Truth

__all__ = ["ARGUMENT", "Detections", "Detector", "DetectorOptions", "DetectorOutputs", "Supervised", "Truth"]

ARGUMENT = "detector"
"""The key of `model_args` under which a detector is described."""

_HOMES = {"Detector": "_base", "DetectorOptions": "options"} | dict.fromkeys(
    ("Detections", "DetectorOutputs", "Supervised", "Truth"), "outputs"
)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'; there are: {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)  # all of them load much, most of them torch
