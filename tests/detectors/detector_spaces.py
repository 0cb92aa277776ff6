"""Small spaces of detectors, and pictures with objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from nas import SearchSpace, Supernet
from nas.detectors import Supervised, Truth
from nas.supernets import build
from nas.tasks.detection import Detection

HEIGHT, WIDTH = 64, 96
SIZES = {"img_size": [HEIGHT, WIDTH], "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4}
SWIN = ("swin_tiny_patch4_window7_224", SIZES)
VIT = ("vit_tiny_patch16_224", {"img_size": [HEIGHT, WIDTH], "embed_dim": 32, "depth": 2, "num_heads": 4})
CHOICES = {"mlp": {"size": [0.5, 1.0]}, "heads": {"size": [1, 2]}, "depth": {"depth": [1, 2]}}
WIDER = CHOICES | {"embed": {"size": [0.5, 1.0]}}
PYRAMID = {"channels": 16, "candidates": 30, "detections": 10, "classes": 3}
RCNN = PYRAMID | {"proposals": 20, "samples": 16, "anchor_samples": 16, "box_width": 24, "canonical": 32}
FCN = {"head": "fcn", "channels": 16, "classes": 3}
YOLOS = {"head": "yolos", "classes": 3, "queries": 5}
HEADS: Mapping[str, Mapping[str, Any]] = {
    **{head: RCNN | {"head": head} for head in ("faster_rcnn", "mask_rcnn", "cascade_rcnn", "cascade_mask_rcnn")},
    "retinanet": PYRAMID | {"head": "retinanet"},
}
"""Detectors on a pyramid; anchors follow the body."""
ANCHORS = {"swin": [8, 16], "vit": [8, 16, 32, 64], "vit retinanet": [16, 32, 64]}

SIDE = 32
TASKS = {
    "swin": Detection(
        **{**{k: v for k, v in RCNN.items() if k != "classes"}, "anchors": tuple(ANCHORS["swin"]), "measured": "both"}
    ),
    "retinanet": Detection(
        head="retinanet", anchors=(16.0, 32.0, 64.0), **{k: v for k, v in PYRAMID.items() if k != "classes"}
    ),
    "yolos": Detection(head="yolos", queries=5, measured="both"),
}
"""Tasks on pictures of SIDE x SIDE pixels; "swin" is a Faster R-CNN."""


def on_pyramid(body: str, head: str) -> SearchSpace:
    """A space of a detector around "swin" or "vit"."""
    anchors = ANCHORS.get(f"{body} {head}", ANCHORS[body])
    model, args = SWIN if body == "swin" else VIT
    detector = FCN if head == "fcn" else {**HEADS[head], "anchors": anchors}
    return space_of(model, {**args, "detector": detector}, CHOICES if body == "swin" else WIDER)


def on_tokens(choices: Mapping[str, Any] = WIDER, **options: Any) -> SearchSpace:
    """A space of a YOLOS."""
    return space_of(VIT[0], {**VIT[1], "detector": YOLOS | options}, choices)


def space_of(model: str, args: Mapping[str, Any], choices: Mapping[str, Any]) -> SearchSpace:
    """A space from plain data."""
    return SearchSpace.from_yaml(f"model: {model}\nmodel_args: {json.dumps(args)}\nchoices: {json.dumps(choices)}\n")


def supernet_of(space: SearchSpace) -> Supernet:
    """A supernet with weights that are not all alike."""
    torch.manual_seed(0)
    model: nn.Module = build(space.model, space.model_args)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return Supernet(model, space)


def pictures(seed: int = 0) -> torch.Tensor:
    """Two of them."""
    return torch.randn(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))


def known(*, detect: bool = False) -> Supervised:
    """The pictures with their objects: two, and one beside a crowd."""
    boxes = torch.tensor([[[8.0, 8, 30, 30], [40, 20, 80, 60]], [[5, 5, 20, 40], [30, 30, 60, 60]]])
    crowd = torch.tensor([[False, False], [False, True]])
    masks = [torch.ones(2, HEIGHT, WIDTH, dtype=torch.uint8)] * 2
    return Supervised(pictures(), Truth(boxes, torch.tensor([[0, 2], [1, 1]]), crowd, masks), detect)
