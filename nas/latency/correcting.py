"""What steps take in a pass, from what they take one by one, or would by their work alone, and from whole passes.

A step that is timed by itself leaves out what it does to the next one (caches, memory that must be fetched, threads
that wait), and of devices that time no steps all is a guess. So each step's time is a first guess times 1 + d, and all
d are estimated from whole passes by Bayesian ridge regression, which finds by itself how far guesses are to be trusted
(MacKay 1992, "Bayesian Interpolation", Neural Computation 4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.linear_model import BayesianRidge

from nas.latency.design import Signature

COMMON = 2.0
"""By how much more steps of one kind may be off together than each of them by itself."""
Work = tuple[float, ...]
"""Of a step: operations in float32, and in int8, numbers that it makes, and that go into and out of int8, and 1 for the
step itself.
"""


def guessed(
    work: Mapping[Signature, Work], wholes: Sequence[Counter[Signature]], milliseconds: NDArray[np.float64]
) -> dict[Signature, float]:
    """Milliseconds of each step: its work at the rates, none below 0, by which whole passes come out nearest."""
    rows = np.array([np.sum([count * np.array(work[s]) for s, count in of.items()], axis=0) for of in wholes])
    # All columns of one length, and errors as shares: what is small counts as much as what is large.
    scale = rows.max(axis=0) + 1e-12
    rates, _ = nnls(rows / scale / milliseconds[:, None], np.ones(len(rows)))
    return {signature: max(float(np.array(of) / scale @ rates), 1e-9) for signature, of in work.items()}


def corrected(
    guesses: Mapping[Signature, float],
    kinds: Sequence[frozenset[Signature]],
    wholes: Sequence[Counter[Signature]],
    milliseconds: NDArray[np.float64],
) -> dict[Signature, float]:
    """The guesses times what whole passes say. `kinds` are the signatures of one step at all its sizes, each."""
    places = {signature: place for place, signature in enumerate(guesses)}
    times = np.array(list(guesses.values()))
    counts = np.zeros((len(wholes), len(times)))
    for row, of in zip(counts, wholes, strict=True):
        for signature, count in of.items():
            row[places[signature]] = count
    sums = counts @ times
    shares = counts * times / sums[:, None]
    members = np.zeros((len(times), len(set(kinds))))
    for column, kind in enumerate(dict.fromkeys(kinds)):
        members[[places[signature] for signature in kind], column] = COMMON
    ridge = BayesianRidge().fit(np.hstack([shares, shares @ members]), milliseconds / sums)
    factors = ridge.intercept_ + ridge.coef_[: len(times)] + members @ ridge.coef_[len(times) :]
    # A step of almost no time may be corrected below none.
    return dict(zip(guesses, (times * np.maximum(factors, 0)).tolist(), strict=True))
