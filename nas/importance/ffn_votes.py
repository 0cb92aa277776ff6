"""Votes of products: how often a weight times its input matters, on real images (MCF: Bai et al., Multi-dimension
compression of feed-forward networks in vision transformers, Pattern Recognition Letters 2023).

For every image, each product x_i W_oi of a feed-forward network that is far from 0 casts a vote for its weight; x is
the class token (or the mean of all tokens, where there is none) that enters the layer. Inputs of a layer score by the
votes in their column. Ours differs: one pass over the original model votes for all layers, and an input's votes are
summed over the outputs, since columns of their own (the paper's first stage, `irregular`) are no dense product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, final

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from nas.errors import StrategyError
from nas.importance._base import Importance, Scored
from nas.importance._recording import inputs_of
from nas.searchspaces import SearchSpace
from nas.searchspaces.axis_names import axis_name, dimension, index
from nas.supernets import Supernet
from nas.training.workplace import Workplace

LAYERS = {"fc1_in": "fc1", "mlp": "fc2", "fc2_in": "fc2"}
"""Axis family -> the layer whose inputs it is."""


@final
@dataclass(frozen=True, kw_only=True)
class FfnVotes(Importance):
    """Votes for the inputs of a feed-forward network's two layers: fc1_in, and mlp or fc2_in.

    images     training images looked at, drawn by the run's seed
    batch      images at a time
    spread     a product votes when it is at least the mean absolute weight of its layer + spread x their deviation
    soft       sum the products' sizes instead of counting them
    critical   share of a layer's outputs whose votes count: the greatest outputs of fc2, and of fc1 those hidden units
               that got most votes, back to front
    shared     one order of inputs for all layers of a width. On a ViT the embedding itself is sorted by it, so that a
               layer reads its first channels, without a gather
    """

    images: Annotated[int, Field(ge=1)] = 1024
    batch: Annotated[int, Field(ge=1)] = 64
    spread: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    soft: bool = False
    critical: Annotated[float, Field(gt=0, le=1)] = 1.0
    shared: bool = False

    @override
    def check(self, space: SearchSpace) -> None:
        chosen = sorted({dimension(axis) for axis in space.axes})
        if not set(chosen) & set(LAYERS):
            raise StrategyError(f"ffn_votes: the space chooses {', '.join(chosen)}; it scores {', '.join(LAYERS)}")

    @override
    def score(self, supernet: Supernet, work: Workplace) -> Scored:
        """`shared` permutes the embedding, which leaves the model's function as it is."""
        self.check(supernet.space)
        votes, outputs = self.votes(supernet, work)
        scores: dict[str, Tensor] = {}
        for block, path in supernet.table.frame.blocks.items():
            first, second = (votes[f"{path}.mlp.{layer}.weight"] for layer in ("fc1", "fc2"))
            hidden = second[_top(outputs[f"{path}.mlp.fc2.weight"], self.critical)].sum(0)
            inputs = first[_top(hidden, self.critical)].sum(0)
            found = {"fc1_in": inputs, "mlp": hidden, "fc2_in": hidden}
            scores |= {axis_name(name, block): value for name, value in found.items()}
        scores = {axis: value for axis, value in scores.items() if axis in supernet.space.axes}
        return Scored(_shared(supernet, scores) if self.shared else scores)

    @torch.no_grad()
    def votes(self, supernet: Supernet, work: Workplace) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Parameter -> votes of its elements (out x in), and summed absolute outputs of its layer (out)."""
        paths = [f"{path}.mlp.{layer}" for path in supernet.table.frame.blocks.values() for layer in ("fc1", "fc2")]
        layers: dict[str, Any] = {f"{path}.weight": supernet.model.get_submodule(path) for path in paths}
        votes = {name: torch.zeros_like(layer.weight) for name, layer in layers.items()}
        outputs = {name: torch.zeros_like(layer.weight[:, 0]) for name, layer in layers.items()}
        classifies = getattr(supernet.model, "global_pool", "") == "token"
        for inputs in inputs_of(layers.values(), supernet.model, work, self.images, self.batch):
            for name, layer in layers.items():
                x = inputs[layer]
                token = x[:, 0] if classifies else x.flatten(1, -2).mean(1)
                votes[name] += self._cast(layer.weight, token)
                outputs[name] += layer(token).abs().sum(0)
        return votes, outputs

    def _cast(self, weight: Tensor, token: Tensor) -> Tensor:
        """Votes of a batch of tokens (B x in) for the elements of a weight (out x in)."""
        if self.soft:
            return weight.abs() * token.abs().sum(0)
        sizes = weight.abs()
        least = sizes.mean() + self.spread * sizes.std()
        # |x_i W_oi| >= least is |x_i| >= least / |W_oi|: counted by where that stands among the sorted |x_i|.
        ordered = token.abs().sort(dim=0).values.T.contiguous()
        below = torch.searchsorted(ordered, (least / sizes.clamp_min(1e-30)).T.contiguous())
        return (len(token) - below).T.to(weight)


def irregular(votes: Tensor, keep: float) -> Tensor:
    """A mask (out x in) of the share `keep` of each output's weights that got most votes: the paper's first stage."""
    kept = max(1, int(keep * votes.shape[1] + 1e-9))
    return torch.zeros_like(votes).scatter(1, votes.topk(kept, dim=1).indices, 1.0)


def _top(scores: Tensor, share: float) -> Tensor:
    return scores.topk(max(1, round(share * len(scores)))).indices


def _shared(supernet: Supernet, scores: dict[str, Tensor]) -> dict[str, Tensor]:
    """One score for all axes that select from the same axis of the residual stream."""
    within = supernet.table.frame.within
    groups: dict[str, list[str]] = {}
    for axis in scores:
        if dimension(axis) == "fc1_in":
            groups.setdefault(within[axis], []).append(axis)
    for parent, axes in groups.items():
        total = torch.stack([scores[axis] for axis in axes]).sum(0)
        if supernet.orders(parent) and not index(parent):
            supernet.reorder({parent: total})
            total = total.sort(descending=True, stable=True).values
        scores |= dict.fromkeys(axes, total)
    return scores
