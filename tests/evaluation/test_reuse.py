"""Shared activations: the very metrics of measuring without, within their budget, and never across a change."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch

from nas.data import HeldSplit
from nas.evaluation import Evaluator
from nas.preprocessing import Preprocessing
from nas.searchspaces import Architecture, SearchSpace
from nas.supernets import Supernet, build
from nas.supernets.decompositions import Factoring
from nas.tasks.classification import Classification
from nas.testing.families import randomise

VIT = "model: vit_tiny_patch16_224, model_args: {img_size: 16, patch_size: 4, embed_dim: 16, depth: 4, num_heads: 2}"
SPACES = {
    "vit": f"{{{VIT}, choices: {{heads: {{size: [1, 2]}}, mlp: {{size: [16, 32, 64]}}, embed: {{size: [0.5, 1.0]}}, "
    "depth: {depth: [2, 3, 4]}, tokens: {keep: [0.4, 0.7, 1.0]}}}",
    "queries": f"{{{VIT}, choices: {{queries: {{keep: [0.3, 0.6, 1.0], drop: true}}, "
    "rank: {rank: [0.25, 0.5, 1.0], of: [fc1, qkv]}, qkv_in: {size: [0.5, 1.0]}}}",
    "t2t": "{model: t2t_vit_7, model_args: {img_size: 32, embed_dim: 16, depth: 3, num_heads: 2}, "
    "choices: {heads: {size: [1, 2]}, mlp: {size: [0.5, 1.0]}, embed: {size: [0.5, 1.0]}}}",
    "swin": "{model: swin_tiny_patch4_window7_224, model_args: {img_size: 16, patch_size: 2, window_size: 4, "
    "embed_dim: 8, depths: [2, 2], num_heads: [2, 4]}, choices: {heads: {size: [0.5, 1.0]}, "
    "mlp: {size: [0.5, 1.0]}, rank: {rank: [0.5, 1.0], of: [fc1]}, merging_in: {size: [0.5, 1.0]}, "
    "depth: {depth: [1, 2], per: stage}}}",
}
IMAGES, BATCH = 20, 8
TASK = Classification()


def parts(kind: str) -> tuple[Supernet, HeldSplit]:
    space = SearchSpace.from_yaml(SPACES[kind])
    net = Supernet(randomise(build(space.model, space.model_args)), space)
    side = space.model_args["img_size"]
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, 3, side, side), dtype=torch.uint8, generator=generator)
    return net, HeldSplit(images, torch.arange(IMAGES) % 10, Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3))


def family_tree(space: SearchSpace, count: int, seed: int = 0) -> Iterator[Architecture]:
    """Random ones, and children of those before, as an evolution makes them."""
    rng = np.random.default_rng(seed)
    born = [space.sample(rng)]
    for _ in range(count):
        yield born[-1]
        parent = born[rng.integers(len(born))]
        born.append(space.mutate(parent, rng, 1 / len(space)) if rng.random() < 0.7 else space.sample(rng))


def check_same(evaluator: Evaluator, plain: Evaluator, architectures: Sequence[Architecture]) -> None:
    for architecture in architectures:
        assert evaluator(architecture) == plain(architecture)
        shares = (0.25, 0.6, 1.0)
        assert list(evaluator.stages(architecture, shares)) == list(plain.stages(architecture, shares))


@pytest.mark.parametrize("kind", SPACES)
def test_metrics_are_the_same_to_the_last_bit(kind: str) -> None:
    net, split = parts(kind)
    evaluator = Evaluator(net, split, TASK, batch=BATCH)
    check_same(evaluator, Evaluator(net, split, TASK, batch=BATCH, reuse=0), list(family_tree(net.space, 10)))
    assert evaluator.prefixes.saved > evaluator.prefixes.ran / 4


@pytest.mark.parametrize("share", [0.1, 0.4, 1.5, 3])
def test_the_budget_holds_whatever_it_is_and_decides_what_is_saved(share: float) -> None:
    """In units of what one whole sub-network leaves behind: stem and four blocks, 17 tokens of 16 floats."""
    net, split = parts("vit")
    budget = int(share * 5 * IMAGES * 17 * 16 * 4)
    evaluator = Evaluator(net, split, TASK, batch=BATCH, reuse=budget)
    prefixes = evaluator.prefixes
    check_same(evaluator, Evaluator(net, split, TASK, batch=BATCH, reuse=0), list(family_tree(net.space, 5)))
    evaluator(net.space.largest)
    before = prefixes.ran
    evaluator(net.space.largest)
    kept = [kept.activations.untyped_storage().nbytes() for kept in prefixes._kept.values()]
    assert sum(kept) == prefixes._bytes <= budget
    batches, fits = 3, min(5, int(share * 5))
    assert prefixes.ran - before == batches * (6 - fits)


def test_what_was_used_longest_ago_goes_first_the_deepest_of_it_before_the_others() -> None:
    net, split = parts("t2t")
    whole = net.space.largest
    others = [architecture for architecture in net.space.neighbours(whole) if architecture["embed"] == whole["embed"]]
    room = 6  # stem and three blocks of a network of four, and two of another
    evaluator = Evaluator(net, split, TASK, batch=IMAGES, reuse=room * IMAGES * 5 * 16 * 4)
    evaluator(whole)
    first = next(a for a in others if a["mlp.0"] != whole["mlp.0"])
    evaluator(first)  # shares the stem, and brings three
    assert len(evaluator.prefixes._kept) == room
    before = evaluator.prefixes.ran
    evaluator(whole)
    assert evaluator.prefixes.ran - before == 2, "all but the last block were there, and the head is always run"


CHANGES = {
    "training": lambda net: [p.add_(0.01) for p in net.model.parameters() if p.requires_grad],
    "loading": lambda net: net.load_state_dict({n: 0.9 * t for n, t in net.state_dict().items()}),
    "order": lambda net: net.reorder({"queries.0": torch.arange(17.0)}),
    "inputs": lambda net: net.reorder({f"qkv_in.{block}": torch.arange(16.0) for block in range(4)}),
    "selection": lambda net: net.selection.update({"queries.0": torch.tensor([0, *range(16, 0, -1)])}),
    "factoring": lambda net: net.factor_by(Factoring("lu")),
    "another place": lambda net: [setattr(p, "data", 1.1 * p.data) for p in net.model.parameters()],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_supernet_never_meets_old_activations(change: str) -> None:
    net, split = parts("queries")
    evaluator, plain = (Evaluator(net, split, TASK, batch=BATCH, reuse=reuse) for reuse in (2**24, 0))
    architecture = net.space.smallest
    before = evaluator(architecture)
    with torch.no_grad():
        CHANGES[change](net)
    assert plain(architecture) != before, "the change changes something"
    assert evaluator(architecture) == plain(architecture)


def test_activations_do_not_travel() -> None:
    net, split = parts("vit")
    evaluator = Evaluator(net, split, TASK, batch=BATCH, reuse=2**24)
    found = evaluator(net.space.largest)
    copy = pickle.loads(pickle.dumps(evaluator))
    assert not copy.prefixes._kept
    assert copy(net.space.largest) == found
    assert copy(net.space.largest) == found
    assert copy.prefixes.saved
