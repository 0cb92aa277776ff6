"""Torch-Pruning (arXiv 2301.12900): groups of a trained model by Taylor importance, the same share in every layer, as
its example for timm's transformers; hidden units and head dimensions go, and so do units of the embedding.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from timm.layers.attention import Attention
from torch import Tensor, nn

from benchmarks.peers.terms import FRESH_LR, SIZE, TRAINED_LR, Terms, macs
from nas.tasks import Batch

SHARE_OF_BASE = 0.5
"""Of the seconds; the rest is for the pruned model."""


class Narrowed(Attention):
    """timm's attention where fewer units leave the heads than enter the block: its own forward takes both alike."""

    def forward(self, x: Tensor, **_: object) -> Tensor:
        """B x tokens x units, as timm's."""
        images, tokens, _ = x.shape
        query, key, value = self.qkv(x).reshape(images, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(images, tokens, -1))


def prune(model: nn.Module, batches: Iterator[Batch], limit: int) -> None:
    """Takes units away from a timm model, 5 % at a time, until it has so few MACs."""
    import torch_pruning as tp

    attentions = [part for part in model.modules() if isinstance(part, Attention)]
    for part in attentions:
        part.__class__ = Narrowed
    pruner = tp.pruner.BasePruner(
        model,
        torch.zeros(1, 1, SIZE, SIZE),
        tp.importance.GroupTaylorImportance(),
        pruning_ratio=1.0,
        iterative_steps=20,
        ignored_layers=[model.head],
        num_heads={part.qkv: part.num_heads for part in attentions},
        round_to=1,
    )
    for batch in batches:
        nn.functional.cross_entropy(model(batch.inputs), batch.targets).backward()
    while macs(model) > limit:
        pruner.step()
        for part in attentions:
            part.head_dim = part.qkv.out_features // (3 * part.num_heads)


USER_CODE = (Narrowed, prune)


def winner(terms: Terms) -> nn.Module:
    """What it finds within the limit, trained."""
    model = terms.model()
    terms.train(model, SHARE_OF_BASE * terms.seconds, FRESH_LR)
    prune(model, terms.data.train.batches(64, seed=terms.seed), terms.limit)
    terms.train(model, terms.left, TRAINED_LR)
    return model
