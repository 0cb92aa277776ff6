"""Ours without a supernet: the trained base's units by Taylor scores, sized by a knapsack, retrained."""

from __future__ import annotations

from torch import nn

from benchmarks.peers.study import winner_of
from benchmarks.peers.terms import Terms

STUDY = """
space: searchspaces/vit_digits.yaml
strategy: strategies/knapsack.yaml
data: {name: digits}
limit: {macs: 50%}
base: {epochs: 60, lr: 3e-3}
supernet: {epochs: 0}
retrain: {epochs: 40, lr: 2e-3, warmup: 1, loss: plain}
"""
PASSES = 85
USER_CODE = STUDY


def winner(terms: Terms) -> nn.Module:
    """What it finds within the limit, trained."""
    return winner_of(terms, STUDY, PASSES)
