"""Random search on the same supernet, with the same retraining."""

from __future__ import annotations

from torch import nn

from benchmarks.peers import ours
from benchmarks.peers.study import winner_of
from benchmarks.peers.terms import Terms

STUDY = ours.STUDY.replace("{use: strategies/evolution.yaml, trials: 300}", "{use: uniform, trials: 300}")
USER_CODE = STUDY


def winner(terms: Terms) -> nn.Module:
    """What it finds within the limit, trained."""
    return winner_of(terms, STUDY, ours.PASSES)
