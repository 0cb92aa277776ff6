"""NVIDIA's ModelOpt: FastNAS, which prunes a trained model by a binary search on how much its score drops. Of a timm
transformer it takes the hidden units alone; with its default steps of 32 units, as its documentation shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from benchmarks.peers.terms import FRESH_LR, SIZE, TRAINED_LR, Terms, UnsuitedError, macs

SHARE_OF_BASE = 0.5
"""Of the seconds; the rest is for the search and the pruned model."""


def prune(model: nn.Module, images: Iterable[Tensor], score: Callable[[nn.Module], float], flops: float) -> nn.Module:
    """The sub-network that it finds, of at most so many FLOPs as it counts them."""
    import modelopt.torch.prune as mtp

    pruned, _ = mtp.prune(
        model,
        mode="fastnas",
        constraints={"flops": flops},
        dummy_input=torch.zeros(1, 1, SIZE, SIZE),
        config={"score_func": score, "data_loader": images, "collect_func": lambda batch: batch, "verbose": False},
    )
    return pruned


USER_CODE = (prune,)


def winner(terms: Terms) -> nn.Module:
    """What it finds within the limit, trained. Raises `UnsuitedError` where it finds nothing."""
    from modelopt.torch.nas.utils import inference_flops

    model = terms.model()
    terms.train(model, SHARE_OF_BASE * terms.seconds, FRESH_LR)
    images = [batch.inputs for batch in terms.data.train.batches(64, seed=terms.seed)]
    model.eval()
    # It counts no products of attention, which are the same in all of its sub-networks.
    uncounted = 2 * macs(model) - inference_flops(model, torch.zeros(1, 1, SIZE, SIZE), unit=1.0)
    pruned = prune(model, images, terms.accuracy, 2 * terms.limit - uncounted)
    if macs(pruned) > terms.limit:
        raise UnsuitedError(f"the smallest that FastNAS finds has {macs(pruned):,} MACs, the limit is {terms.limit:,}")
    terms.train(pruned, terms.left, TRAINED_LR)
    return pruned
