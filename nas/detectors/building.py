"""From what a model's arguments say of a detector to the detector around a body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from torch import nn

from nas.detectors import ARGUMENT
from nas.detectors._base import Detector
from nas.detectors.options import DetectorSpec
from nas.errors import ModelError

_SPEC = TypeAdapter(DetectorSpec)


def spec_of(described: object) -> DetectorSpec:
    """The description of a detector, read. Raises `ModelError`."""
    if not isinstance(described, Mapping):
        raise ModelError(
            f"{ARGUMENT}: found {described!r}; allowed: a mapping with `head`, `classes` and other options"
        )
    try:
        return _SPEC.validate_python(dict(described))
    except ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        key = ".".join(map(str, (ARGUMENT, *first["loc"])))
        raise ModelError(f"{key}: found {str(first['input'])[:80]!r}: {first['msg']}") from wrong


def body_args(spec: DetectorSpec) -> dict[str, Any]:
    """Arguments with which the body is built: without a head, and with as many tokens as look for objects."""
    return {"num_classes": 0, **({"reg_tokens": spec.queries} if spec.head == "yolos" else {})}


def around(body: nn.Module, described: object) -> Detector:
    """The detector around a body, freshly initialised but for the body. Raises `ModelError` where they do not fit."""
    spec = spec_of(described)
    if spec.head == "yolos":
        from nas.detectors.yolos import Yolos

        return Yolos(body, spec)
    if spec.head == "retinanet":
        from nas.detectors.retinanet import RetinaNet

        return RetinaNet(body, spec)
    if spec.head == "fcn":
        from nas.detectors.fcn import Fcn

        return Fcn(body, spec)
    from nas.detectors.rcnn import RCNN

    return RCNN(body, spec)
