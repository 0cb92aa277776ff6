"""AutoFormer as published: one random sub-network per step of a fresh supernet, its evolution. There, a winner keeps
the weights of the supernet; here it is retrained, as all are.
"""

from __future__ import annotations

from torch import nn

from benchmarks.peers.study import winner_of
from benchmarks.peers.terms import Terms

STUDY = """
space: searchspaces/vit_digits.yaml
strategy: {use: strategies/autoformer.yaml, trials: 300}
data: {name: digits}
limit: {macs: 50%}
base: {epochs: 0}
supernet: {epochs: 100, lr: 3e-3, rule: uniform}
retrain: {epochs: 40, lr: 2e-3, warmup: 1, loss: plain}
"""
PASSES = 150
USER_CODE = STUDY


def winner(terms: Terms) -> nn.Module:
    """What it finds within the limit, trained."""
    return winner_of(terms, STUDY, PASSES)
