"""Matrices in two factors: W (out x in) ~ outer (out x rank) inner (rank x in).

The methods of Sun, "Vision transformer pruning with matrix decomposition", and an activation-aware SVD (our addition;
cf. arXiv 2312.05821, 2403.07378). Ours differs: weights are factored, where the paper factors activations, and the
exact rewritings that it compares (full and reduced QR, LU, complete orthogonal) are truncated, without which they save
nothing. A method gives *directions*, best first, so that one set serves every rank, and the factors stay
differentiable functions of W while the directions are held fixed.

What is factored is what pruning has left of a matrix (see `factoring`), so bases are orthonormal where they are used.

Legend: m outputs, n inputs, R = min(m, n) the full rank.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, final, get_args

import numpy as np
import scipy.linalg
import torch
from torch import Tensor
from typing_extensions import override

from nas.errors import ModelError, nearest

Method = Literal["svd", "qr_full", "qr_reduced", "qr_pivoted", "cod", "lu", "cholesky", "aware_svd"]
METHODS: tuple[str, ...] = get_args(Method)


@dataclass(frozen=True)
class Directions(ABC):
    """Along what a matrix is factored."""

    @property
    @abstractmethod
    def numbers(self) -> int:
        """How many numbers they are."""

    @abstractmethod
    def factors(self, weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
        """Outer (m x rank) and inner (rank x n) factor of `weight` (m x n), differentiable towards it."""


@final
@dataclass(frozen=True)
class OfOutputs(Directions):
    """W ~ outer_r (project_r W): `outer` m x R, `project` R x m; left out, the transpose of an orthonormal `outer`."""

    outer: Tensor
    project: Tensor | None = None

    @property
    @override
    def numbers(self) -> int:
        return self.outer.numel() + (0 if self.project is None else self.project.numel())

    @override
    def factors(self, weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
        outer = self.outer[:, :rank].to(weight)
        if self.project is None:
            return outer, outer.T @ weight
        project = self.project[:rank].to(weight.device)
        return outer, (project @ weight.to(project.dtype)).to(weight.dtype)


@final
@dataclass(frozen=True)
class OfInputs(Directions):
    """W ~ (W inner_r^T) inner_r: `inner` R x n, orthonormal rows."""

    inner: Tensor

    @property
    @override
    def numbers(self) -> int:
        return self.inner.numel()

    @override
    def factors(self, weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
        inner = self.inner[:rank].to(weight)
        return weight @ inner.T, inner


def refuse_unknown(method: str) -> None:
    """Raise ModelError for a method that is none of METHODS."""
    if method not in METHODS:
        raise ModelError(f"no decomposition '{method}'; there are: {', '.join(METHODS)}{nearest(method, METHODS)}")


@torch.no_grad()
def directions(weight: Tensor, method: str = "svd", covariance: Tensor | None = None) -> Directions:
    """The directions of `weight` (m x n) by one of METHODS, computed in double precision, kept in single.

    `covariance` (n x n, mean of x x^T over inputs x) is for "aware_svd". Raises ModelError without it, and for an
    unknown method.
    """
    refuse_unknown(method)
    matrix = weight.detach().double()
    if method == "lu":
        return _lu(matrix)
    if method == "cholesky":
        return OfInputs(_cholesky_rows(matrix).float())
    return OfOutputs(_BASES[method](matrix, covariance).float())


@final
@dataclass(frozen=True, eq=False)
class Factoring:
    """A decomposition for all matrices; `covariances` maps a parameter to that of its layer's inputs (n x n)."""

    method: str = "svd"
    covariances: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_unknown(self.method)

    def directions(self, weight: Tensor, covariance: Tensor | None = None) -> Directions:
        """Directions of one matrix. Raises ModelError when its covariance is needed and missing."""
        return directions(weight, self.method, covariance)


@torch.no_grad()
def energies(weight: Tensor, along: Directions, covariance: Tensor | None = None) -> Tensor:
    """By how much each direction lowers the squared error of the product, float R; they sum to |W|^2.

    With a covariance the error is that of the outputs, mean of |W x|^2.
    """
    outer, inner = (factor.double() for factor in along.factors(weight.detach(), min(weight.shape)))
    # Orthonormal rows: the error of the product is a sum over directions, each counts the norm of its outer column.
    if isinstance(along, OfInputs) and covariance is None:
        return outer.square().sum(0).float()
    # mean |W x|^2 is |W K^(1/2)|^2: with the root of the covariance behind it, the error of outputs is one of matrices.
    root = None if covariance is None else _root(covariance).to(weight.device)
    seen = inner if root is None else inner @ root
    # Orthonormal columns: the same the other way round, and so with any root behind the inner factor.
    if isinstance(along, OfOutputs) and along.project is None:
        return seen.square().sum(1).float()
    # No basis is orthonormal here (LU; or rows, seen through the root): take one direction off after the other.
    rest = weight.detach().double() if root is None else weight.detach().double() @ root
    errors = [rest.square().sum()]
    for direction in range(len(seen)):
        rest = rest - outer[:, direction, None] * seen[direction]
        errors.append(rest.square().sum())
    return -torch.stack(errors).diff().float()


@torch.no_grad()
def relative_error(weight: Tensor, along: Directions, rank: int) -> float:
    """|W - outer inner| / |W|, Frobenius norms."""
    outer, inner = along.factors(weight, rank)
    return float((weight - outer @ inner).norm() / weight.norm())


def _svd(matrix: Tensor, _: Tensor | None) -> Tensor:
    """Left singular vectors: the least error at every rank (Eckart and Young)."""
    basis: Tensor = torch.linalg.svd(matrix, full_matrices=False).U
    return basis


def _aware_svd(matrix: Tensor, covariance: Tensor | None) -> Tensor:
    """Left singular vectors of W K^(1/2): the least error of the outputs, on inputs of covariance K."""
    if covariance is None:
        raise ModelError("aware_svd needs the covariance of the matrix's inputs: importance {use: directions} finds it")
    return _svd(matrix @ _root(covariance).to(matrix), None)


def _qr(mode: str) -> Callable[[Tensor, Tensor | None], Tensor]:
    def basis(matrix: Tensor, _: Tensor | None) -> Tensor:
        orthonormal: Tensor = torch.linalg.qr(matrix, mode=mode).Q
        return orthonormal[:, : min(matrix.shape)]

    return basis


def _qr_pivoted(matrix: Tensor, _: Tensor | None) -> Tensor:
    """Q of QR with column pivoting, which takes the longest remaining column first (torch has none).

    It serves the complete orthogonal decomposition too: that writes R_r as T Z^T, so its product at rank r is the same.
    """
    q, _triangle, _pivots = scipy.linalg.qr(matrix.cpu().numpy(), mode="economic", pivoting=True)
    return torch.from_numpy(q).to(matrix)


def _lu(matrix: Tensor) -> OfOutputs:
    """Partial pivoting: the first columns of P L, and of U, which is the inverse of L's top times P^T W."""
    p, lower, _ = torch.linalg.lu(matrix)
    full = min(matrix.shape)
    top = torch.linalg.solve_triangular(
        lower[:full], torch.eye(full, dtype=matrix.dtype, device=matrix.device), upper=False, unitriangular=True
    )
    # The inverse stays in double precision: in single, a large matrix is not its own factors to 1e-5.
    return OfOutputs((p @ lower).float(), top @ p.T[:full])


def _cholesky_rows(matrix: Tensor) -> Tensor:
    """Orthonormal rows (R x n) that span, for every r, the first r rows of the pivoted Cholesky factor of W^T W.

    With B those rows, the best outer factor is W B^+; its product is W times the projection on the rows' span.
    """
    gram = (matrix.T @ matrix).cpu().numpy()
    # R, where R^T R is the Gram matrix with its rows and columns in the order of `pivots` (from 1): at each step, the
    # input that is explained least by those before it. Below rounding there is none: the first `known` explain all.
    tolerance = 1e-13 * float(gram.diagonal().max())
    upper, pivots, known, _ = scipy.linalg.lapack.dpstrf(gram, tol=tolerance)
    known = min(known, *matrix.shape)
    rows = np.zeros((known, len(gram)))
    rows[:, pivots - 1] = np.triu(upper)[:known]
    # QR of R^T makes the rows orthonormal one after the other, so the first r of them span what the first r rows do. A
    # complete basis has as many more as are missing.
    full = min(matrix.shape)
    basis, _ = scipy.linalg.qr(rows.T, mode="economic" if known == full else "full")
    return torch.from_numpy(basis[:, :full]).to(matrix).T


def _root(covariance: Tensor) -> Tensor:
    """The symmetric root K^(1/2), in double precision."""
    values, vectors = torch.linalg.eigh(covariance.double())
    # Directions that no input has still count a little: else full rank would not give the matrix back.
    root: Tensor = (vectors * values.clamp_min(1e-12 * float(values.max())).sqrt()) @ vectors.T
    return root


_BASES: Mapping[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "svd": _svd,
    "qr_full": _qr("complete"),
    "qr_reduced": _qr("reduced"),
    "qr_pivoted": _qr_pivoted,
    "cod": _qr_pivoted,
    "aware_svd": _aware_svd,
}
