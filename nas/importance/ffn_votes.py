"""Votes of products: how often a weight times its input matters, on real images (MCF: Bai et al., Multi-dimension
compression of feed-forward networks in vision transformers, Pattern Recognition Letters 2023).

For every image, each product x_i W_oi of a feed-forward network that is far from 0 casts a vote for its weight; x is
the class token (or the mean of all tokens, where there is none) that enters the layer, or each detection token. Inputs
of a layer score by the votes in their column. Ours differs: one pass over the original model votes for all layers, and
an input's votes are summed over the outputs, since columns of their own (the paper's first stage, `irregular`) are no
dense product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from nas.detectors import ARGUMENT
from nas.documents.conditions import Is, IsNot, ReadWith
from nas.errors import StrategyError
from nas.evaluation.evaluate import evaluating
from nas.importance._base import Importance, Scored
from nas.importance._recording import calibration, inputs_of, outputs_recorded, require_layers
from nas.numbers import BatchSize, ImageCount, above, number
from nas.searchspaces import SearchSpace
from nas.searchspaces.axis_names import MLP, axis_name, dimension, index
from nas.supernets import Supernet
from nas.supernets.families._base import Readout
from nas.training.workplace import Workplace

FIRST_IN, SECOND_IN = "fc1_in", "fc2_in"
SCORED = (FIRST_IN, MLP, SECOND_IN)
"""Dimensions that are inputs of a feed-forward network's layers: of the first one, and (both others) of the second."""
Critical = Literal["output", "top_class"]


@final
@dataclass(frozen=True, kw_only=True)
class FfnVotes(Importance):
    """Votes for the inputs of a feed-forward network's two layers: fc1_in, and mlp or fc2_in.

    images        training images looked at, drawn by the run's seed
    batch         images at a time
    spread        a product votes when it is at least the mean absolute weight of its layer + spread x their deviation
    soft          sum the products' sizes instead of counting them
    critical      share of a layer's outputs whose votes count: the critical outputs of fc2, and of fc1 those hidden
                  units that got most votes, back to front
    critical_by   which outputs of fc2 are critical: the greatest (output), or those that decide most for the class that
                  the model gives each image (top_class: output x gradient of that class's score)
    shared        one order of inputs for all layers of a width. On a ViT the embedding itself is sorted by it, so that
                  a layer reads its first channels, without a gather
    """

    images: ImageCount = 1024
    batch: BatchSize = 64
    spread: Annotated[float, number(-1000, 1000), ReadWith(Is("soft", False))] = 1.0
    soft: bool = False
    critical: Annotated[float, above(0, 1)] = 1.0
    critical_by: Annotated[Critical, ReadWith(IsNot("critical", 1.0))] = "output"
    shared: bool = False

    @override
    def check(self, space: SearchSpace) -> None:
        chosen = sorted({dimension(axis) for axis in space.axes})
        if not set(chosen) & set(SCORED):
            raise StrategyError(f"ffn_votes: the space chooses {', '.join(chosen)}; it scores {', '.join(SCORED)}")
        require_layers(space, "ffn_votes")
        if ARGUMENT in space.model_args and self._asks_later_blocks:
            raise StrategyError(
                "ffn_votes: critical_by: top_class, and a detector names no class of an image; allowed: output"
            )

    @property
    @override
    def blockwise(self) -> bool:
        return not self.shared and not self._asks_later_blocks

    @property
    def _asks_later_blocks(self) -> bool:
        """Whether scores of a block follow from what later blocks make of it."""
        return self.critical < 1 and self.critical_by == "top_class"

    @override
    def score(self, supernet: Supernet, work: Workplace) -> Scored:
        """`shared` permutes the embedding, which leaves the model's function as it is."""
        self.check(supernet.space)
        votes, outputs = self.votes(supernet, work)
        if self._asks_later_blocks:
            outputs = self.decisive(supernet, work)
        scores: dict[str, Tensor] = {}
        for block, (first, second) in _layers(supernet).items():
            # Back to front: of the second layer the critical outputs have a say, and by it hidden units are ranked;
            # of the first layer, those of its outputs that write the hidden units ranked best.
            hidden = votes[second][_top(outputs[second], self.critical)].sum(0)
            inputs = votes[first][_top(hidden, self.critical)].sum(0)
            by_dimension = {FIRST_IN: inputs, MLP: hidden, SECOND_IN: hidden}
            scores |= {axis_name(name, block): value for name, value in by_dimension.items()}
        scores = {axis: value for axis, value in scores.items() if axis in supernet.space.axes}
        return Scored(_shared(supernet, scores) if self.shared else scores)

    @torch.no_grad()
    def votes(self, supernet: Supernet, work: Workplace) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Path of a layer -> votes of the elements of its weight (out x in), and its summed absolute outputs (out)."""
        layers = {path: _linear(supernet, path) for paths in _layers(supernet).values() for path in paths}
        votes = {path: torch.zeros_like(layer.weight) for path, layer in layers.items()}
        outputs = {path: torch.zeros_like(layer.weight[:, 0]) for path, layer in layers.items()}
        readout = supernet.family.readout(supernet.model)
        for inputs in inputs_of(layers.values(), supernet.model, work, self.images, self.batch):
            for path, layer in layers.items():
                x = inputs[layer]
                voters = _voters(x, readout)
                votes[path] += self._cast(layer.weight, voters)
                outputs[path] += layer(voters).abs().sum(0)
        return votes, outputs

    def decisive(self, supernet: Supernet, work: Workplace) -> dict[str, Tensor]:
        """Path of each second layer -> sum over images of |output x gradient| of its outputs (out), where the gradient
        is that of the greatest score of the image, and the output that of the token which votes.
        """
        model = supernet.model
        layers = {model.get_submodule(path): path for _, path in _layers(supernet).values()}
        device, pooled = next(model.parameters()).device, supernet.family.readout(model).pooled
        sums: dict[str, Tensor] = {}
        with evaluating(model), torch.enable_grad():
            for pictures in calibration(work, self.images, self.batch):
                # The gradient reaches the layers also where weights want none.
                with outputs_recorded(layers) as outputs:
                    scores = model(pictures.to(device).requires_grad_())
                # Images do not mix, so the gradient of the sum is that of each image's own score.
                gradients = torch.autograd.grad(scores.max(dim=-1).values.sum(), list(outputs.values()))
                for (layer, output), gradient in zip(outputs.items(), gradients, strict=True):
                    # A pooled model votes by the mean of all tokens: their products are what the mean adds up.
                    product = output * gradient
                    product = product.flatten(1, -2).sum(1) if pooled else product[:, 0]
                    path = layers[layer]
                    sums[path] = sums.get(path, 0) + product.detach().abs().sum(0)
        return sums

    def _cast(self, weight: Tensor, token: Tensor) -> Tensor:
        """Votes of a batch of tokens (B x in) for the elements of a weight (out x in)."""
        if self.soft:
            return weight.abs() * token.abs().sum(0)
        sizes = weight.abs()
        least = sizes.mean() + self.spread * sizes.std()
        # A product votes if |x_i W_oi| >= least, that is |x_i| >= least / |W_oi|. Products are B x out x in numbers,
        # too many to write out. So |x_i| is sorted over the images, once, and each weight finds its quotient's position
        # there by bisection: the images from there on vote for it. A weight of 0 gets a quotient that none reaches.
        ordered = token.abs().sort(dim=0).values.T.contiguous()
        below = torch.searchsorted(ordered, (least / sizes.clamp_min(1e-30)).T.contiguous())
        return (len(token) - below).T.to(weight)


def _voters(x: Tensor, readout: Readout) -> Tensor:
    """The tokens that vote (n x C) among the inputs of a layer: the class token of each image (or the mean of all
    tokens, where there is none), and of a detector every token that finds something.
    """
    if readout.pooled:
        return x.flatten(1, -2).mean(1)
    return x[:, readout.unread : readout.anchors].flatten(0, 1) if readout.unread else x[:, 0]


def _layers(supernet: Supernet) -> dict[str, tuple[str, str]]:
    """Block -> paths of the two layers of its feed-forward network."""
    table = supernet.table
    first, *gated, second = supernet.family.feed_forward(supernet.model)
    packed = any(len(table.entries[f"{path}.{first}.weight"].dims[0]) > 1 for path in table.frame.blocks.values())
    if gated or packed:
        raise StrategyError(
            f"ffn_votes: hidden units of {supernet.space.model} are multiplied by gates, and a vote is of one product; "
            "allowed: models with plain feed-forward networks"
        )
    return {block: (f"{path}.{first}", f"{path}.{second}") for block, path in table.frame.blocks.items()}


def _linear(supernet: Supernet, path: str) -> nn.Linear:
    layer = supernet.model.get_submodule(path)
    assert isinstance(layer, nn.Linear), f"{path} is a {type(layer).__name__}"
    return layer


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
        if dimension(axis) == FIRST_IN:
            groups.setdefault(within[axis], []).append(axis)
    for parent, axes in groups.items():
        # The axis of the stream can be sorted where the model has it once, and may sort it; then the layers' own
        # scores are in the new order. Elsewhere (Swin: a width per stage, inelastic) each layer gathers in this order.
        total = torch.stack([scores[axis] for axis in axes]).sum(0)
        if supernet.orders(parent) and not index(parent):
            supernet.reorder({parent: total})
            total = total.sort(descending=True, stable=True).values
        scores |= dict.fromkeys(axes, total)
    return scores
