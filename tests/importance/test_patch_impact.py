"""Patch impact: the recursion against all paths of heads, its switches, and what it refuses."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from nas.errors import StrategyError
from nas.importance._recording import calibration, recorded
from nas.importance.patch_impact import PatchImpact, reaches
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet, build
from nas.testing.relaxed import Bench

MASKS: list[list[int] | None] = [None, [0, 1, 3], [0, 1], [0]]


def maps(blocks: int = 4, heads: int = 3, tokens: int = 5) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, heads, tokens, tokens, generator=generator).softmax(-1) for _ in range(blocks)]


def enumerated(attentions: list[Tensor], image: int, block: int) -> Tensor:
    """Eq. 13 as it is printed: one product of matrices per path of heads."""
    heads, tokens = attentions[0].shape[1:3]
    total = torch.zeros(tokens)
    for path in itertools.product(range(heads), repeat=len(attentions) - 1 - block):
        reach = torch.eye(tokens)
        for later, head in enumerate(path, start=block + 1):
            mask = MASKS[later]
            keep = torch.zeros(tokens).index_fill(0, torch.tensor(range(tokens) if mask is None else mask), 1.0)
            reach = keep.diag() @ attentions[later][image, head] @ reach
        total += reach.square().sum(0)
    return total


@pytest.mark.parametrize("block", range(4))
def test_the_recursion_is_the_sum_over_all_paths(block: int) -> None:
    attentions = maps()
    reached = reaches(attentions, MASKS)[block]
    for image in range(2):
        torch.testing.assert_close(reached[image], enumerated(attentions, image, block), rtol=1e-5, atol=1e-7)


def test_cheaper_paths_are_those_of_one_head() -> None:
    """Summed or averaged heads: exact on one head, else another number."""
    one = maps(heads=1)
    for paths in ("summed", "mean"):
        torch.testing.assert_close(reaches(one, MASKS, paths=paths)[0], reaches(one, MASKS)[0])
    several = maps()
    assert (reaches(several, MASKS, paths="summed")[0] > reaches(several, MASKS)[0]).all(), "an upper bound"
    rolled = reaches(one, MASKS, rollout=True)[2]
    half = [0.5 * m + 0.5 * torch.eye(5) for m in one]
    torch.testing.assert_close(rolled, reaches(half, MASKS)[2])


def test_scores_follow_the_formula_on_a_model() -> None:
    """Impact of a token = reach x the squared norm of its mixed features, averaged over images."""
    bench = Bench("tokens")
    scores = PatchImpact(images=32, batch=8).score(bench.supernet, bench.work).scores
    images = torch.cat(list(calibration(bench.work, 32, 32)))
    blocks = list(bench.supernet.model.get_submodule("blocks").children())
    with torch.no_grad(), recorded(blocks) as inputs:
        bench.supernet.model(images)
        attentions = [bench.supernet.family.attention(block).weights(inputs[block]) for block in blocks]
        mixed = [
            (a @ inputs[b].abs().unsqueeze(1)).square().sum((1, 3)) for a, b in zip(attentions, blocks, strict=True)
        ]
    reach = reaches(attentions, [None, None, [0]])
    for block in range(3):
        torch.testing.assert_close(scores[f"queries.{block}"], (reach[block] * mixed[block]).mean(0), rtol=1e-4, atol=0)
    assert torch.equal(scores["tokens.2"], scores["queries.1"]), "a block sees by the impacts of the block before"


def test_baselines_differ_and_are_reproducible() -> None:
    bench = Bench("tokens")
    by_measure = {}
    for measure in ("impact", "attention", "random"):
        one, two = (
            PatchImpact(images=16, measure=measure).score(bench.supernet, bench.work).scores["queries.0"]
            for _ in range(2)
        )
        assert torch.equal(one, two)
        by_measure[measure] = one
    assert not torch.allclose(by_measure["impact"], by_measure["attention"])
    assert not torch.allclose(by_measure["attention"], by_measure["random"])


def test_what_has_no_anchor_is_refused() -> None:
    args = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 4, "class_token": False,
            "global_pool": "avg"}  # fmt: skip
    space = SearchSpace.from_yaml(
        "{model: vit_tiny_patch16_224, choices: {queries: {keep: [0.5, 1.0]}}}", model_args=args
    )
    pooled = Supernet(build(space.model, space.model_args), space)
    work = Bench("tokens").work
    assert work is not None
    with pytest.raises(StrategyError, match=r"pools all tokens \(global_pool='avg'\)"):
        PatchImpact().impacts(pooled, work, {})
    with pytest.raises(StrategyError, match="pools all tokens"):
        PatchImpact().check(space)
    with pytest.raises(StrategyError, match="no tokens or queries; windowed models, such as Swin"):
        PatchImpact().check(Bench("swin").problem.space)
