"""Directions along which a supernet's matrices are factored: each sub-network's are those of its own, cut matrix.

A matrix is pruned first and decomposed then, as the paper does. Cut afterwards, factors of the whole matrix would spend
directions on outputs and inputs that are gone. Sub-networks of the same sizes share directions, which are kept until
weights or orders change; a step of training finds most of what it needs.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from nas.axes import AxisTable, Entry
from nas.supernets.decompositions import Directions, Factoring
from nas.supernets.slicing import Cut, cut, permute

ROOM = 8
"""Directions are kept as long as they take up to so many times the memory of the matrices themselves."""


@final
class CutDirections:
    """Directions of the matrices of one table, by parameter and sizes. What was not asked for longest goes first."""

    def __init__(self, table: AxisTable) -> None:
        self.factoring = Factoring()
        self._table = table
        self._kept: OrderedDict[tuple[str, tuple[int, ...]], Directions] = OrderedDict()
        matrices = [entry for entry in table.entries.values() if entry.rank]
        self._room = ROOM * sum(math.prod(map(table.frame.full, entry.atoms)) for entry in matrices)

    def of(self, entry: Entry, weight: Tensor, keep: Cut) -> Directions:
        """Directions of a matrix of which `keep` has left `weight` (out x in). Raises ModelError when they need a
        covariance that is missing.
        """
        key = (entry.parameter, tuple(map(keep.size, entry.atoms)))
        if key not in self._kept:
            covariance = self.factoring.covariances.get(entry.parameter)
            if covariance is not None:
                covariance = cut(covariance, (entry.dims[1], entry.dims[1]), keep)
            self._kept[key] = self.factoring.directions(weight, covariance)
            while len(self._kept) > 1 and sum(kept.numbers for kept in self._kept.values()) > self._room:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def forget(self) -> None:
        """Compute them anew when they are next needed."""
        self._kept.clear()

    @torch.no_grad()
    def follow(self, moved: dict[str, Tensor]) -> None:
        """Keep covariances those of the matrices' inputs, when the units of some axes are permuted."""
        covariances = {name: covariance.clone() for name, covariance in self.factoring.covariances.items()}
        for name, covariance in covariances.items():
            entry = self._table.entries[name]
            square = replace(entry, dims=(entry.dims[1], entry.dims[1]))
            permute(covariance, square, self._table.frame, moved)
        self.factoring = replace(self.factoring, covariances=covariances)
        self.forget()
