"""YOLOS (arXiv 2106.00666): detection tokens beside the patches of a plain ViT, and two small heads that read them.

Objects are matched with tokens one to one (DETR, arXiv 2005.12872), so nothing overlaps that would have to go.
Legend: Q detection tokens, K classes; class K is that of tokens that find nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from scipy.optimize import linear_sum_assignment
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models import checkpoint
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import box_convert, generalized_box_iou, generalized_box_iou_loss
from typing_extensions import override

from nas.detectors._base import Detector, applied_to
from nas.detectors.options import DetectorSpec
from nas.detectors.outputs import Detections, DetectorOutputs, Truth
from nas.errors import ModelError
from nas.searchspaces.axis_names import TOKENS

CLASS, BOX, GIOU = 1.0, 5.0, 2.0
"""Weights of the class, of the distance of boxes, and of their overlap, in matching and in the loss."""


@final
class Yolos(Detector):
    """The body's register tokens are its detection tokens."""

    def __init__(self, body: nn.Module, spec: DetectorSpec) -> None:
        super().__init__(body, spec)
        if not isinstance(body, VisionTransformer) or body.pos_embed is None or body.num_reg_tokens != spec.queries:
            raise ModelError(
                f"yolos: a {type(body).__name__} without detection tokens; allowed: ViT and DeiT with positions"
            )
        width = body.embed_dim
        positions = body.patch_embed.num_patches + body.num_prefix_tokens
        between = range(len(body.blocks) - 1) if spec.mid_positions else ()
        self.mid = nn.ModuleDict({str(index): _Positions(positions, width) for index in between})
        self.classes = _head(width, spec.classes + 1)
        self.boxes = _head(width, 4)

    @property
    @override
    def tokens(self) -> int:
        return self.spec.queries

    @property
    @override
    def inelastic(self) -> Mapping[str, str]:
        reason = "positions are added to all tokens between blocks (mid_positions: false adds none)"
        return {TOKENS: reason} if self.spec.mid_positions else {}

    @override
    def outputs(self, images: Tensor, truth: Truth | None, *, detect: bool) -> DetectorOutputs:
        every = truth is not None and self.spec.auxiliary
        of_blocks = [self._read(tokens) for tokens in self._tokens(images, every=every)]
        logits, boxes = of_blocks[-1]
        losses: dict[str, Tensor] = {}
        if truth is not None:
            scale = images.new_tensor([images.shape[-1], images.shape[-2]] * 2)
            for depth, (scores, places) in enumerate(reversed(of_blocks)):
                ending = f" {depth} before" if depth else ""
                of_block = self._losses(scores, places, truth, scale)
                losses |= {f"{name}{ending}": loss for name, loss in of_block.items()}
        size = (int(images.shape[-2]), int(images.shape[-1]))
        detections = [_detected(*one, size) for one in zip(logits, boxes, strict=True)] if detect else []
        return DetectorOutputs({"logits": logits, "boxes": boxes}, losses, detections)

    def _tokens(self, images: Tensor, *, every: bool) -> list[Tensor]:
        """Detection tokens (B x Q x C) behind the last block, or behind every one."""
        body = self.body
        assert isinstance(body, VisionTransformer)
        x = body.norm_pre(body.patch_drop(body._pos_embed(body.patch_embed(images))))
        kept: list[Tensor] = []
        first = body.num_prefix_tokens - self.spec.queries
        for index, block in body.blocks.named_children():
            x = checkpoint(block, x) if body.grad_checkpointing and self.training else block(x)
            if index in self.mid:
                x = self.mid[index](x)
            if every:
                kept.append(body.norm(x)[:, first : body.num_prefix_tokens])
        return kept or [body.norm(x)[:, first : body.num_prefix_tokens]]

    def _read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B x Q x K + 1) and boxes (B x Q x 4: centre and size, as shares of the picture)."""
        return self.classes(tokens), self.boxes(tokens).sigmoid()

    def _losses(self, logits: Tensor, boxes: Tensor, truth: Truth, scale: Tensor) -> dict[str, Tensor]:
        """Of one block's tokens; `scale` is the width and height of the pictures, twice."""
        objects = [truth.of(picture) for picture in range(len(truth))]
        wanted = torch.full(logits.shape[:2], self.spec.classes, dtype=torch.int64, device=logits.device)
        found, there = [], []
        for picture, of_picture in enumerate(objects):
            places = of_picture["boxes"] / scale
            tokens, matched = match(logits[picture], boxes[picture], places, of_picture["labels"])
            wanted[picture, tokens] = of_picture["labels"][matched]
            found.append(boxes[picture, tokens])
            there.append(places[matched])
        ours, theirs = torch.cat(found), torch.cat(there)
        of_classes = self._class_loss(logits.flatten(0, 1), wanted.flatten(), truth.share)
        count = truth.share or max(1, len(theirs))
        distance = (ours - box_convert(theirs, "xyxy", "cxcywh")).abs().sum() / count
        overlap = generalized_box_iou_loss(box_convert(ours, "cxcywh", "xyxy"), theirs, reduction="sum") / count
        return {"class": CLASS * of_classes, "box": BOX * distance, "giou": GIOU * overlap}

    def _class_loss(self, logits: Tensor, wanted: Tensor, share: float | None) -> Tensor:
        """Of N tokens, a weighted mean; of a part of a batch, whose `share` of the objects is known, the sum over what
        would be its weights if objects were spread evenly.
        """
        weights = logits.new_ones(self.spec.classes + 1)
        weights[-1] = self.spec.no_object
        if share is None:
            return functional.cross_entropy(logits, wanted, weights)
        whole = share + (len(wanted) - share) * self.spec.no_object
        return functional.cross_entropy(logits, wanted, weights, reduction="sum") / whole

    @override
    def completed(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """A plain ViT has no detection tokens, and no positions for them: here they start anew."""
        body, positions = self.body, weights.get("pos_embed")
        if "reg_token" in weights or positions is None:
            return weights
        assert isinstance(body, VisionTransformer)
        assert body.pos_embed is not None
        assert body.reg_token is not None
        first, grid = body.num_prefix_tokens - self.spec.queries, body.patch_embed.grid_size
        patches = positions
        if positions.shape[1] != first + body.patch_embed.num_patches:
            patches = resample_abs_pos_embed(positions, list(grid), num_prefix_tokens=first)
        tokens = body.pos_embed.detach()[:, first : body.num_prefix_tokens]
        whole = torch.cat([patches[:, :first], tokens, patches[:, first:]], 1)
        return {**weights, "reg_token": body.reg_token.detach(), "pos_embed": whole}

    @override
    def applied(self) -> dict[str, int]:
        queries = self.spec.queries
        return applied_to(self.classes, "classes", queries) | applied_to(self.boxes, "boxes", queries)

    @property
    @override
    def named(self) -> Mapping[str, str]:
        own = dict(self.own_parameters())
        positions = {name: f"1 {own[name].shape[1]} embed" for name in own if name.startswith("mid.")}
        return positions | {f"{head}.0.weight": f"{own[f'{head}.0.weight'].shape[0]} embed" for head in HEADS}

    @override
    def block_of(self, name: str) -> str:
        return name.split(".")[1] if name.startswith("mid.") else ""

    @override
    def without(self, blocks: frozenset[str]) -> None:
        for index in blocks:
            del self.mid[index]

    @property
    @override
    def classifier(self) -> tuple[str, ...]:
        return "classes.4.weight", "classes.4.bias"


HEADS = ("classes", "boxes")


@final
class _Positions(nn.Module):
    """Adds an embedding of its own to every token."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(1, tokens, width))
        nn.init.trunc_normal_(self.embedding, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.embedding


def _head(width: int, outputs: int) -> nn.Sequential:
    hidden = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(width, outputs))


@torch.no_grad()
def match(logits: Tensor, boxes: Tensor, objects: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which tokens of a picture (Q x K + 1 logits, Q x 4 boxes) stand for which of its n objects (n x 4 corners as
    shares of the picture, n labels): both int64, as many as there are objects, or tokens.
    """
    probable = -logits.float().softmax(-1)[:, labels]
    distance = torch.cdist(boxes.float(), box_convert(objects, "xyxy", "cxcywh").float(), p=1)
    overlap = -generalized_box_iou(box_convert(boxes.float(), "cxcywh", "xyxy"), objects.float())
    cost = CLASS * probable + BOX * distance + GIOU * overlap
    # What has become no number is found by the loss, and must not stop the matching.
    rows, columns = linear_sum_assignment(cost.nan_to_num(1e6).cpu().numpy())
    return torch.from_numpy(rows).to(logits.device), torch.from_numpy(columns).to(logits.device)


def _detected(logits: Tensor, boxes: Tensor, size: tuple[int, int]) -> Detections:
    """What the tokens of one picture find, the most probable first."""
    best = logits.softmax(-1)[:, :-1].max(-1)
    scores, order = best.values.sort(descending=True, stable=True)
    height, width = size
    corners = box_convert(boxes, "cxcywh", "xyxy") * boxes.new_tensor([width, height, width, height])
    return Detections(corners[order], scores, best.indices[order])
