"""Ours: units in order of magnitude, the sandwich rule, evolution, adjoined retraining."""

from __future__ import annotations

from torch import nn

from benchmarks.peers.study import winner_of
from benchmarks.peers.terms import Terms

STUDY = """
space: searchspaces/vit_digits.yaml
strategy: {use: strategies/evolution.yaml, trials: 300}
data: {name: digits}
limit: {macs: 50%}
importance: magnitude
base: {epochs: 40, lr: 3e-3}
supernet: {epochs: 20, lr: 3e-3, warmup: 1, rule: sandwich}
retrain: {epochs: 20, lr: 2e-3, warmup: 1, loss: adjoined, small_ce: true}
"""
PASSES = 150
USER_CODE = STUDY


def winner(terms: Terms) -> nn.Module:
    """What it finds within the limit, trained."""
    return winner_of(terms, STUDY, PASSES)
