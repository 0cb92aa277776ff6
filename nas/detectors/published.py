"""Names of published detectors: those of Swin Transformer's object detection, in mmdetection's layout, as ours.

What is another program's stays so: it samples features half a pixel further (RoI align), pads windows in another order,
and a cascade's last stage has rounded scales of shifts. Converted weights are a start, and not the last digit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nas.detectors.rcnn import RCNN

LAYOUT = re.compile(r"(neck|rpn_head|roi_head)\.")
"""How names outside the body begin there."""
_PARTS: tuple[tuple[str, str], ...] = (
    (r"neck\.lateral_convs\.(\d+)\.conv\.(\w+)", r"pyramid.fpn.inner_blocks.\1.0.\2"),
    (r"neck\.fpn_convs\.(\d+)\.conv\.(\w+)", r"pyramid.fpn.layer_blocks.\1.0.\2"),
    (r"rpn_head\.rpn_conv\.(\w+)", r"rpn.head.conv.0.0.\1"),
    (r"rpn_head\.rpn_cls\.(\w+)", r"rpn.head.cls_logits.\1"),
    (r"rpn_head\.rpn_reg\.(\w+)", r"rpn.head.bbox_pred.\1"),
    (r"roi_head\.bbox_head\.(\d+)\.shared_convs\.(\d+)\.conv\.(\w+)", r"stages.\1.box_head.\2.0.\3"),
    (r"roi_head\.bbox_head\.(\d+)\.shared_convs\.(\d+)\.bn\.(\w+)", r"stages.\1.box_head.\2.1.\3"),
    (r"roi_head\.bbox_head\.(\d+)\.fc_cls\.(\w+)", r"stages.\1.box_predictor.cls_score.\2"),
    (r"roi_head\.bbox_head\.(\d+)\.fc_reg\.(\w+)", r"stages.\1.box_predictor.bbox_pred.\2"),
    (r"roi_head\.mask_head\.(\d+)\.convs\.(\d+)\.conv\.(\w+)", r"stages.\1.mask_head.\2.0.\3"),
    (r"roi_head\.mask_head\.(\d+)\.upsample\.(\w+)", r"stages.\1.mask_predictor.conv5_mask.\2"),
    (r"roi_head\.mask_head\.(\d+)\.conv_logits\.(\w+)", r"stages.\1.mask_predictor.mask_fcn_logits.\2"),
)
_HIDDEN = re.compile(r"roi_head\.bbox_head\.(\d+)\.shared_fcs\.(\d+)\.(\w+)")
_NORM = re.compile(r"(?:backbone\.)?norm(\d+)\.(\w+)")


def ours(weights: Mapping[str, Tensor], detector: nn.Module) -> dict[str, Tensor]:
    """Published weights with the names, and the order of classes, that `detector` has; the names of its body's norms
    are the body's own. What is not known keeps its name.
    """
    assert isinstance(detector, RCNN), "only R-CNNs were published so"
    wanted = detector.state_dict()
    renamed = {_name(name, detector): tensor for name, tensor in weights.items()}
    return {name: _reordered(name, tensor, wanted.get(name)) for name, tensor in renamed.items()}


def _name(name: str, detector: RCNN) -> str:
    if norm := _NORM.fullmatch(name):
        # The last stage's norm is the body's.
        last = f"norms.{norm[1]}.weight" not in detector.pyramid.state_dict()
        return f"norm.{norm[2]}" if last else f"pyramid.norms.{norm[1]}.{norm[2]}"
    # A head that is the only one has no number there.
    name = re.sub(r"^(roi_head\.\w+_head)\.(?!\d)", r"\1.0.", name)
    if hidden := _HIDDEN.fullmatch(name):
        stage, layer, kind = hidden[1], int(hidden[2]), hidden[3]
        convs = detector.spec.convolutions
        # Behind the convolutions: what flattens, then each hidden layer with its activation.
        place = str(convs + 1 + 2 * layer) if convs else ("fc6", "fc7")[layer]
        return f"stages.{stage}.box_head.{place}.{kind}"
    for theirs, own in _PARTS:
        if re.fullmatch(theirs, name):
            return re.sub(theirs, own, name)
    return name


def _reordered(name: str, tensor: Tensor, wanted: Tensor | None) -> Tensor:
    """The background is the first class here, and the last one there; where it has boxes and masks, they are 0."""
    if ".cls_score." in name:
        return tensor.roll(1, 0)
    for part, rows in ((".bbox_pred.", 4), (".mask_fcn_logits.", 1)):
        if part in name and wanted is not None and len(wanted) == len(tensor) + rows and "rpn." not in name:
            return torch.cat([tensor.new_zeros(rows, *tensor.shape[1:]), tensor])
    return tensor
