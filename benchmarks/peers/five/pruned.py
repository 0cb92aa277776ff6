"""One trained model at half its MACs, by both: ours sized by a knapsack, Torch-Pruning's the same share in every layer.

Both score by Taylor importance on the same images. Torch-Pruning is told the heads, and attention's forward is replaced
where it takes the width of what it reads for that of what it makes: without that its groups of attention do not run.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers.attention import Attention
from timm.models.metaformer import Attention as MetaFormerAttention
from timm.models.swin_transformer import WindowAttention
from torch import nn

from benchmarks.peers.five.models import Subject, macs
from benchmarks.peers.torch_pruning import Narrowed
from nas.data import Data
from nas.importance.taylor import Taylor
from nas.search import Objective, Problem
from nas.searchspaces import Limit, SearchSpace
from nas.searchspaces.axis_names import DEPTH
from nas.strategies.knapsack import Knapsack
from nas.supernets import Supernet
from nas.supernets.derived.captured import Captured
from nas.supernets.timm_models import outline_of
from nas.training.workplace import Workplace

SHARE = 0.5
"""Of the whole model's MACs."""
IMAGES, BATCH = 1024, 64
"""Looked at for the scores."""
STEPS = 40
"""In which Torch-Pruning takes all away, until few enough MACs are left."""


def by_ours(model: nn.Module, subject: Subject, data: Data, seed: int) -> nn.Module:
    """Axes are derived, and any of them may shrink, to eighths."""
    captured = Captured(model, subject.image)
    outline = outline_of(captured, captured.kind)
    sizes = [eighths / 8 for eighths in range(1, 9)]
    lines = [f"  {kind}: {{size: {sizes}}}" for kind in sorted(outline.elastic - {DEPTH})]
    text = "\n".join([f"model: {captured.kind}", "choices:", *lines, ""])
    supernet = Supernet(captured, SearchSpace.from_yaml(text, outline=outline))
    scores = Taylor(images=IMAGES, batch=BATCH).apply(supernet, Workplace(data.without_test(), seed)).scores
    limit = Limit(supernet.cost, macs=f"{SHARE:.0%}")
    problem = Problem(
        space=supernet.space,
        objectives=(Objective("accuracy", maximise=True),),
        strategy="knapsack",
        seed=seed,
        trials=1,
        limit=limit,
    )
    return supernet.extract(Knapsack().choose(problem, scores))


class Tokens(MetaFormerAttention):
    """MetaFormer's attention, where fewer units leave the heads than they did."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """B x tokens x units."""
        images, tokens, _ = x.shape
        query, key, value = self.qkv(x).reshape(images, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.proj_drop(self.proj(mixed.transpose(1, 2).reshape(images, tokens, -1)))  # type: ignore[no-any-return]


def by_torch_pruning(model: nn.Module, subject: Subject, data: Data, seed: int) -> nn.Module:
    """As its examples for transformers do it."""
    import torch_pruning as tp

    heads: dict[nn.Module, int] = {}
    for part in model.modules():
        if isinstance(part, Attention | MetaFormerAttention | WindowAttention):
            heads[part.qkv] = part.num_heads
        if isinstance(part, nn.MultiheadAttention):
            heads[part] = part.num_heads
        if type(part) in (Attention, MetaFormerAttention):
            part.__class__ = Narrowed if isinstance(part, Attention) else Tokens
    limit = SHARE * macs(model, subject.image)
    pruner: Any = tp.pruner.BasePruner(
        model,
        torch.zeros(1, *subject.image),
        tp.importance.GroupTaylorImportance(),
        pruning_ratio=1.0,
        iterative_steps=STEPS,
        ignored_layers=[module for module in model.modules() if isinstance(module, nn.Linear)][-1:],
        num_heads=heads,
        round_to=1,
    )
    seen = 0
    for batch in data.train.batches(BATCH, seed=seed):
        nn.functional.cross_entropy(model(batch.inputs), batch.targets).backward()
        seen += BATCH
        if seen >= IMAGES:
            break
    while macs(model, subject.image) > limit:
        pruner.step()
        for part in model.modules():
            if isinstance(part, Attention):
                part.head_dim = part.qkv.out_features // (3 * part.num_heads)
    return model
