"""A Gaussian process on few retrained architectures; as a predictor in searches: White et al. (arXiv 2104.01177)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import final

import numpy as np
from typing_extensions import override

from nas.proxies._predictor import Predictor, Reals


@final
@dataclass(frozen=True, kw_only=True)
class GaussianProcess(Predictor):
    """A smooth function of choices and costs plus noise; how smooth and how noisy is what makes the known ones most
    likely. All features have one length scale: a dozen of architectures cannot tell more.
    """

    @override
    def predict(self, known: Reals, values: Reals, unknown: Reals) -> Reals:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        scale = float(values.std()) or 1.0
        length = float(np.sqrt(known.shape[1]))
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(length, (length / 10, length * 100)) + WhiteKernel(
            0.5, (1e-3, 1e1)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a length at the end of its range is an answer
            model = GaussianProcessRegressor(kernel).fit(known, values / scale)
        return np.asarray(model.predict(unknown), np.float64) * scale
