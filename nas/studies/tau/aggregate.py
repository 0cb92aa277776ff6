"""One ranking out of several: the mean of ranks, over the supernet's own score and those proxies that help it.

Which ones help is decided on other architectures than those that are then ranked: else the best of a dozen of useless
proxies would seem to help.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

from nas.studies.tau.statistics import tau_b

FOLDS = 4
"""Parts of the architectures; for each, the others say who helps."""
MARGIN = 0.05
"""By how much tau must rise on the others for a proxy to join: with a dozen of architectures less is chance."""


def helpful(scores: Mapping[str, np.ndarray], truth: np.ndarray, rows: np.ndarray) -> list[str]:
    """Names of the scores whose mean rank predicts the truth of `rows` best: the first one, and one by one those that
    raise tau most, as long as they raise it by `MARGIN`.
    """
    ranks = _ranks(scores)
    first, *others = ranks
    chosen = [first]

    def tau(names: Sequence[str]) -> float:
        # Where one of both does not vary there is nothing to gain.
        return float(np.nan_to_num(tau_b(_mean(ranks, names)[rows], truth[rows])))

    while others:
        best = max(others, key=lambda name: tau([*chosen, name]))
        if tau([*chosen, best]) < tau(chosen) + MARGIN:
            break
        chosen.append(best)
        others.remove(best)
    return chosen


def aggregated(scores: Mapping[str, np.ndarray], truth: np.ndarray, seed: int) -> np.ndarray:
    """The mean rank (0 to 1, more is better) of each architecture over the scores that help on the other parts."""
    count = len(truth)
    order, ranks = np.random.default_rng(seed).permutation(count), _ranks(scores)
    means = np.empty(count)
    for part in np.array_split(order, min(FOLDS, count)):
        names = helpful(scores, truth, np.setdiff1d(order, part))
        means[part] = _mean(ranks, names)[part]
    return means


def _ranks(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of the scores that are defined for all architectures; ties share the middle."""
    known = {name: values for name, values in scores.items() if np.isfinite(values).all()}
    return {name: rankdata(values) / len(values) for name, values in known.items()}


def _mean(ranks: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    means: np.ndarray = np.mean([ranks[name] for name in names], axis=0)
    return means
