"""Directions of matrices: how much of a matrix each direction of its decomposition holds (singular values, and their
like for QR, LU and Cholesky; see `nas.supernets.decompositions`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, final

import torch
from torch import Tensor
from typing_extensions import override

from nas.documents.conditions import Is, ReadWith
from nas.errors import StrategyError
from nas.importance._base import Importance, Scored
from nas.importance._recording import inputs_of, require_layers
from nas.numbers import BatchSize, ImageCount
from nas.searchspaces import SearchSpace
from nas.searchspaces.axis_names import dimension, is_rank
from nas.supernets import Supernet
from nas.supernets.decompositions import Factoring, Method, energies
from nas.training.workplace import Workplace

AWARE = ReadWith(Is("method", "aware_svd"))


@final
@dataclass(frozen=True, kw_only=True)
class OfDirections(Importance):
    """The share of a matrix's squared norm that each direction adds to the product of its factors.

    Shares make matrices comparable, whatever their scale. They are those of the whole matrix, since what will be cut of
    it is not known yet; the supernet factors what is left of it, by this method from then on.

    method   svd (the least error), qr_full, qr_reduced, qr_pivoted, cod, lu, cholesky, or aware_svd, which has the
             least error of the layer's outputs
    images   training images that aware_svd looks at, drawn by the run's seed
    batch    images at a time
    """

    method: Method = "svd"
    images: Annotated[ImageCount, AWARE] = 256
    batch: Annotated[BatchSize, AWARE] = 64

    @override
    def check(self, space: SearchSpace) -> None:
        if self.method == "aware_svd":
            require_layers(space, "directions: method: aware_svd")
        chosen = sorted({dimension(axis) for axis in space.axes})
        if not any(map(is_rank, chosen)):
            raise StrategyError(
                f"directions: the space chooses {', '.join(chosen)}, no rank; add a choice such as rank: {{rank: "
                "[0.25, 0.5, 1.0], of: [qkv, proj, fc1, fc2]}"
            )

    @override
    def score(self, supernet: Supernet, work: Workplace) -> Scored:
        """The supernet's way of factoring changes."""
        self.check(supernet.space)
        matrices = [entry for entry in supernet.table.entries.values() if entry.rank in supernet.space.axes]
        names = [entry.parameter for entry in matrices]
        covariances = self.covariances(supernet, work, names) if self.method == "aware_svd" else {}
        # Before energies are asked for: they are those of the directions by which the supernet factors.
        supernet.factor_by(Factoring(self.method, covariances))
        scores: dict[str, Tensor] = {}
        for entry in matrices:
            weight = supernet.model.get_parameter(entry.parameter)
            energy = energies(weight, supernet.directions(entry), covariances.get(entry.parameter))
            # Matrices that share a rank (of gates, and of what they multiply) have a say each.
            scores[entry.rank] = scores.get(entry.rank, 0) + energy / energy.sum()
        return Scored(scores)

    @torch.no_grad()
    def covariances(self, supernet: Supernet, work: Workplace, names: list[str]) -> dict[str, Tensor]:
        """Parameter -> mean of x x^T over the inputs x of its layer, all tokens of all images (float, n x n)."""
        layers = {name: supernet.model.get_submodule(name.removesuffix(".weight")) for name in names}
        sums: dict[str, Tensor] = {}
        seen: dict[str, int] = {}
        for inputs in inputs_of(layers.values(), supernet.model, work, self.images, self.batch):
            for name, layer in layers.items():
                x = inputs[layer].flatten(0, -2).double()
                sums[name] = sums.get(name, torch.zeros(x.shape[1], x.shape[1]).to(x)) + x.T @ x
                seen[name] = seen.get(name, 0) + len(x)
        return {name: (total / seen[name]).float() for name, total in sums.items()}
