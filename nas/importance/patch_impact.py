"""Patch impact: how much a token of one block reaches the class token at the end, through the attention of all later
blocks (Patch Slimming, Tang et al., arXiv 2106.02852, eq. 13).

The paper sums over all paths of heads, of which there are H^(L - t). Ours gives the same numbers without them: with
G_L = I and G_(l-1) = sum_h P_lh^T D_l G_l D_l P_lh, the sum over paths of |A_t[:, i]|^2 is the diagonal of G_t.

Legend: B images, H heads, N tokens; P attention (B x H x N x N), D the mask of the tokens that a block computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, final

import torch
from torch import Tensor
from typing_extensions import override

from nas import seeds
from nas.documents.conditions import Is, IsNot, ReadWith
from nas.errors import StrategyError
from nas.importance._base import Importance, Scored
from nas.importance._recording import inputs_of
from nas.numbers import BatchSize, ImageCount
from nas.searchspaces import SearchSpace
from nas.searchspaces.axis_names import POSITIONS, QUERIES, TOKENS, axis_name, dimension, index, is_position
from nas.supernets import Supernet
from nas.supernets.families._base import AttentionParts, Readout
from nas.supernets.of_space import readout_of
from nas.training.workplace import Workplace

Paths = Literal["exact", "summed", "mean"]
Masks = Mapping[str, Sequence[int]]
"""Block -> positions of the tokens that it computes; a block that is left out computes all."""
LOOKING, REACHING = ReadWith(IsNot("measure", "random")), ReadWith(Is("measure", "impact"))


@final
@dataclass(frozen=True, kw_only=True)
class PatchImpact(Importance):
    """Mean over images of a token's impact, for tokens and queries. Positions are fixed: all images share them.

    images    training images looked at, drawn by the run's seed; less when there are fewer
    batch     images at a time; it changes memory, not scores
    paths     sum over paths of heads (exact), or of the heads' sum or mean, which are cheaper and coarser
    rollout   0.5 P + 0.5 I for P: the shortcut counts as attention to oneself
    measure   impact (the paper's), attention (the norm of a token's own row of attention: the paper's ablation), or
              random (by the run's seed: the baseline)
    """

    images: Annotated[ImageCount, LOOKING] = 256
    batch: Annotated[BatchSize, LOOKING] = 64
    paths: Annotated[Paths, REACHING] = "exact"
    rollout: Annotated[bool, REACHING] = False
    measure: Literal["impact", "attention", "random"] = "impact"

    @override
    def check(self, space: SearchSpace) -> None:
        chosen = {dimension(axis) for axis in space.axes}
        if not chosen & POSITIONS:
            raise StrategyError(
                f"patch_impact: the space chooses {', '.join(sorted(chosen))}, no tokens or queries; windowed models, "
                "such as Swin, have none to choose: a window needs all of its positions"
            )
        _refuse_pooled(space.model, readout_of(space))

    @override
    def score(self, supernet: Supernet, work: Workplace) -> Scored:
        """In the last block only the anchors, what the head reads, are computed; in the others all tokens."""
        self.check(supernet.space)
        last = list(supernet.table.frame.blocks)[-1]
        readout = supernet.family.readout(supernet.model)
        anchors = range(readout.unread, readout.anchors)
        impacts = self.impacts(supernet, work, {last: anchors})
        return Scored({axis: _of_axis(axis, impacts) for axis in supernet.space.axes if is_position(axis)})

    def impacts(self, supernet: Supernet, work: Workplace, masks: Masks) -> dict[str, Tensor]:
        """Block -> impact of its tokens on each image, float (images, N), under the masks of the later blocks. Random
        impacts look at no image: (1, N).

        Raises `StrategyError` for a model that classifies by something else than its class token.
        """
        _refuse_pooled(supernet.space.model, supernet.family.readout(supernet.model))
        frame = supernet.table.frame
        if self.measure == "random":
            generator = torch.Generator().manual_seed(seeds.derive(work.seed, seeds.SAMPLING))
            return {i: torch.rand(1, frame.axes[axis_name(QUERIES, i)], generator=generator) for i in frame.blocks}
        blocks = {i: supernet.model.get_submodule(path) for i, path in frame.blocks.items()}
        attentions = {i: supernet.family.attention(block) for i, block in blocks.items()}
        batches = [
            self._of_batch(attentions, {i: inputs[block] for i, block in blocks.items()}, masks)
            for inputs in inputs_of(blocks.values(), supernet.model, work, self.images, self.batch)
        ]
        return {i: torch.cat([impacts[i] for impacts in batches]) for i in blocks}

    @torch.no_grad()
    def _of_batch(
        self, attentions: Mapping[str, AttentionParts], inputs: Mapping[str, Tensor], masks: Masks
    ) -> dict[str, Tensor]:
        """Block -> impact of its tokens on each image of a batch (B, N); `inputs` are those of the blocks (B, N, C)."""
        weights = {i: attention.weights(inputs[i]) for i, attention in attentions.items()}
        if self.measure == "attention":
            return {i: P.square().sum((1, 3)).cpu() for i, P in weights.items()}
        reach = reaches(list(weights.values()), [masks.get(i) for i in weights], paths=self.paths, rollout=self.rollout)
        # Eq. 13: how far a token reaches, times the squared norm of what each head mixes into it: |P_h |X||^2, summed.
        mixed = {i: (P @ inputs[i].abs().unsqueeze(1)).square().sum((1, 3)) for i, P in weights.items()}
        return {i: (reached * mixed[i]).cpu() for i, reached in zip(weights, reach, strict=True)}


def reaches(
    attentions: Sequence[Tensor],
    masks: Sequence[Sequence[int] | None],
    *,
    paths: Annotated[Paths, REACHING] = "exact",
    rollout: bool = False,
) -> list[Tensor]:
    """Per block t: sum over paths of heads through the later blocks of |A_t[:, i]|^2, float (B, N).

    A_t is the product of D_l P_lh over the blocks l > t, so the identity in the last one; `masks[l]` lists the tokens
    that D_l keeps (None: all).
    """
    *_, tokens, _ = attentions[-1].shape
    # Nothing comes after the last block, so there every token reaches itself: A = I, and so is its Gram matrix A^T A.
    gram = torch.eye(tokens, device=attentions[-1].device).expand(len(attentions[-1]), -1, -1)
    reached = []
    for weights, mask in zip(reversed(attentions), reversed(masks), strict=True):
        # |A[:, i]|^2 is the diagonal of A^T A, which is known before this block's own attention is taken in.
        reached.append(gram.diagonal(dim1=1, dim2=2))
        heads = {"exact": weights, "summed": weights.sum(1, keepdim=True), "mean": weights.mean(1, keepdim=True)}[paths]
        if rollout:
            heads = 0.5 * heads + 0.5 * torch.eye(tokens, device=heads.device)
        # One block earlier every path starts with one head more: A becomes A D P_h, so A^T A becomes
        # P_h^T D (A^T A) D P_h. `gram` is the sum over all paths so far, and the step is linear in it: H products per
        # block stand in for H^(L - t) paths.
        gram = (heads.transpose(-2, -1) @ _masked(gram, mask).unsqueeze(1) @ heads).sum(1)
    return reached[::-1]


def _masked(gram: Tensor, mask: Sequence[int] | None) -> Tensor:
    """D G D: rows and columns of tokens that the block does not compute are 0."""
    if mask is None:
        return gram
    kept = torch.zeros(gram.shape[-1], device=gram.device)
    kept[list(mask)] = 1
    return gram * kept[:, None] * kept[None, :]


def _refuse_pooled(name: str, readout: Readout) -> None:
    if readout.pooled:
        raise StrategyError(
            f"patch_impact: {name} pools all tokens (global_pool='{readout.pooling}'), so every token of the last "
            "block reaches the output; allowed: models that classify by a class token"
        )


def _of_axis(axis: str, impacts: Mapping[str, Tensor]) -> Tensor:
    """Scores of an axis: a block computes and feeds by its own impacts, and sees by those of the block before it."""
    blocks = list(impacts)
    position = blocks.index(index(axis))
    return impacts[blocks[max(0, position - 1) if dimension(axis) == TOKENS else position]].mean(0)
