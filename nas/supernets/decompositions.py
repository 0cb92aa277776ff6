"""Matrices in two factors: W (out x in) ~ outer (out x rank) inner (rank x in).

The methods of Sun, "Vision transformer pruning with matrix decomposition", and an activation-aware SVD (our addition;
cf. arXiv 2312.05821, 2403.07378). Ours differs: weights are factored, where the paper factors activations, and the
exact rewritings that it compares (full and reduced QR, LU, complete orthogonal) are truncated, without which they save
nothing. A method gives *directions*, best first, so that one set serves every rank, and the factors stay
differentiable functions of W while the directions are held fixed.

Legend: m outputs, n inputs, R = min(m, n) the full rank.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, final, get_args

import torch
from torch import Tensor
from typing_extensions import override

from nas.errors import ModelError, nearest

Method = Literal["svd", "qr_full", "qr_reduced", "qr_pivoted", "cod", "lu", "cholesky", "aware_svd"]
METHODS: tuple[str, ...] = get_args(Method)


@dataclass(frozen=True)
class Directions(ABC):
    """Along what a matrix is factored."""

    @abstractmethod
    def factors(self, weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
        """Outer (m x rank) and inner (rank x n) factor of `weight` (m x n), differentiable towards it."""


@final
@dataclass(frozen=True)
class OfOutputs(Directions):
    """W ~ outer_r (project_r W): `outer` m x R, `project` R x m; left out, the transpose of an orthonormal `outer`."""

    outer: Tensor
    project: Tensor | None = None

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

    def directions(self, parameter: str, weight: Tensor) -> Directions:
        """Directions of one matrix. Raises ModelError when its covariance is needed and missing."""
        return directions(weight, self.method, self.covariances.get(parameter))


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
    # `rest` is the matrix less its projection on the basis so far: Gram and Schmidt, the longest column first.
    rest, basis = matrix.clone(), matrix.new_empty(matrix.shape[0], 0)
    for _step in range(min(matrix.shape)):
        column = rest[:, rest.square().sum(0).argmax()]
        column = column - basis @ (basis.T @ column)  # once more, against rounding
        # What is left is rounding: the matrix has no more directions, and any that complete the basis will do.
        if column.norm() <= 1e-12 * matrix.norm():
            break
        column = column / column.norm()
        basis = torch.cat([basis, column[:, None]], dim=1)
        rest = rest - column[:, None] * (column @ rest)
    return _completed(basis, min(matrix.shape))


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
    gram = matrix.T @ matrix
    # `left` is the diagonal of W^T W - R^T R, where R are the rows so far: how much of each input they do not explain.
    left, rows = gram.diagonal().clone(), gram.new_empty(min(matrix.shape), len(gram))
    scale, known = float(left.max()), 0
    while known < len(rows):
        # The input that is explained least. Below rounding there is none: then the rows span all of W.
        pivot = int(left.argmax())
        if left[pivot] <= 1e-13 * scale:
            break
        # Its row of what is left, over the root of its diagonal, so that the new R explains this input fully.
        rows[known] = (gram[pivot] - rows[:known, pivot] @ rows[:known]) / left[pivot].sqrt()
        left -= rows[known].square()
        known += 1
    # QR of R^T makes the rows orthonormal one after the other, so the first r of them span what the first r rows do.
    basis = torch.linalg.qr(rows[:known].T).Q
    return _completed(basis, min(matrix.shape)).T


def _completed(basis: Tensor, columns: int) -> Tensor:
    """An orthonormal basis of that many columns, whose first are `basis`."""
    missing = columns - basis.shape[1]
    if not missing:
        return basis
    # The projection on the complement of the basis has singular values 1 and 0; vectors of 1 span the complement.
    identity = torch.eye(basis.shape[0], dtype=basis.dtype, device=basis.device)
    rest = torch.linalg.svd(identity - basis @ basis.T).U[:, :missing]
    return torch.cat([basis, rest], dim=1)


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
