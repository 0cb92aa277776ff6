"""Decompositions of matrices: exact at full rank, ordered by their errors, differentiable."""

from __future__ import annotations

import pytest
import torch

from nas.errors import ModelError
from nas.quantities import factoring_pays
from nas.supernets.decompositions import METHODS, OfOutputs, directions, energies, relative_error

SHAPES = {"tall": (24, 10), "wide": (9, 30), "square": (16, 16)}
RANKS = (1, 3, 6, 9)


def matrix(shape: str, rank: int | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(len(shape))
    m, n = SHAPES[shape]
    if rank is None:
        return torch.randn(m, n, generator=generator)
    return torch.randn(m, rank, generator=generator) @ torch.randn(rank, n, generator=generator)


def skewed(n: int) -> torch.Tensor:
    """A covariance with a few strong directions."""
    x = torch.randn(200, n, generator=torch.Generator().manual_seed(5)) * torch.linspace(4, 0.1, n)
    return x.T @ x / len(x)


def product(weight: torch.Tensor, method: str, rank: int, covariance: torch.Tensor | None = None) -> torch.Tensor:
    outer, inner = directions(weight, method, covariance).factors(weight, rank)
    assert outer.shape == (weight.shape[0], rank)
    assert inner.shape == (rank, weight.shape[1])
    return outer @ inner


def covariance_for(method: str, weight: torch.Tensor) -> torch.Tensor | None:
    return skewed(weight.shape[1]) if method == "aware_svd" else None


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", METHODS)
def test_full_rank_is_the_matrix(method: str, shape: str) -> None:
    weight = matrix(shape)
    approximation = product(weight, method, min(weight.shape), covariance_for(method, weight))
    torch.testing.assert_close(approximation, weight, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_matrix_of_low_rank_is_found_at_its_rank(method: str) -> None:
    """Every method is exact at the rank that the matrix has, plain QR and LU too (its leading minor is regular)."""
    weight = matrix("square", rank=4)
    torch.testing.assert_close(product(weight, method, 4, covariance_for(method, weight)), weight, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        product(weight, method, 16, covariance_for(method, weight)), weight, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rank", RANKS)
def test_svd_has_the_least_error(shape: str, rank: int) -> None:
    """Eckart and Young; and where the paper's methods stand to each other."""
    weight = matrix(shape)
    error = {
        method: relative_error(weight, directions(weight, method, covariance_for(method, weight)), rank)
        for method in METHODS
    }
    assert all(error["svd"] <= other + 1e-6 for other in error.values()), error
    assert error["qr_full"] == pytest.approx(error["qr_reduced"], abs=1e-6)
    assert error["cod"] == error["qr_pivoted"]
    assert error["cholesky"] <= error["qr_pivoted"] + 1e-6  # the best outer factor for the same inner one
    assert min(error[method] for method in METHODS if method != "svd") > 0 or rank == min(weight.shape)


def test_the_first_rows_of_cholesky_and_of_pivoted_qr_span_the_same() -> None:
    """R of pivoted QR is the Cholesky factor of the Gram matrix: fitting an outer factor to it gives the same."""
    weight = matrix("tall")
    _, inner = directions(weight, "qr_pivoted").factors(weight, 4)
    torch.testing.assert_close(
        weight @ torch.linalg.pinv(inner) @ inner, product(weight, "cholesky", 4), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_aware_svd_keeps_the_outputs(shape: str) -> None:
    weight = matrix(shape)
    covariance = skewed(weight.shape[1])

    def error(approximation: torch.Tensor) -> float:
        rest = weight - approximation
        return float((rest @ covariance * rest).sum())

    aware, plain = product(weight, "aware_svd", 4, covariance), product(weight, "svd", 4)
    assert error(aware) < error(plain)
    same = product(weight, "aware_svd", 4, torch.eye(weight.shape[1]))
    torch.testing.assert_close(same, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_energies_are_what_the_error_falls_by(method: str) -> None:
    weight = matrix("tall")
    along = directions(weight, method, covariance_for(method, weight))
    energy = energies(weight, along)
    assert float(energy.sum()) == pytest.approx(float(weight.square().sum()), rel=1e-4)
    for rank in (2, 5):
        squared = (relative_error(weight, along, rank) * float(weight.norm())) ** 2
        assert float(energy[rank:].sum()) == pytest.approx(squared, rel=1e-3)


def test_energies_of_svd_are_squared_singular_values() -> None:
    weight = matrix("wide")
    expected = torch.linalg.svdvals(weight).square()
    torch.testing.assert_close(energies(weight, directions(weight)), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_factors_are_functions_of_the_matrix(method: str) -> None:
    weight = matrix("square").requires_grad_()
    outer, inner = directions(weight, method, covariance_for(method, weight)).factors(weight, 3)
    (outer @ inner).square().sum().backward()
    assert weight.grad is not None
    assert weight.grad.isfinite().all()
    assert weight.grad.abs().sum() > 0


def test_lu_is_the_product_of_its_triangles() -> None:
    weight = matrix("wide")
    p, lower, upper = torch.linalg.lu(weight)
    along = directions(weight, "lu")
    assert isinstance(along, OfOutputs)
    torch.testing.assert_close(product(weight, "lu", 4), p @ lower[:, :4] @ upper[:4], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("outputs", "inputs", "most"), [(768, 768, 383), (768, 3072, 614), (512, 512, 255)])
def test_break_even(outputs: int, inputs: int, most: int) -> None:
    """r < m n / (m + n): strictly, so at 384 of 768 x 768 nothing is saved."""
    assert factoring_pays(most, outputs, inputs)
    assert not factoring_pays(most + 1, outputs, inputs)


def test_wrong_input() -> None:
    with pytest.raises(ModelError, match="no decomposition 'qr'; there are: svd"):
        directions(matrix("tall"), "qr")
    with pytest.raises(ModelError, match="aware_svd needs the covariance"):
        directions(matrix("tall"), "aware_svd")


def test_aware_svd_is_exact_at_full_rank_where_inputs_are_missing() -> None:
    """Fewer calibration tokens than inputs give a singular covariance."""
    weight = matrix("tall")
    few = torch.randn(4, 10, generator=torch.Generator().manual_seed(1))
    approximation = product(weight, "aware_svd", 10, few.T @ few / 4)
    torch.testing.assert_close(approximation, weight, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_large_matrix_is_its_own_factors_to_1e_5(method: str) -> None:
    weight = torch.randn(256, 320, generator=torch.Generator().manual_seed(2))
    along = directions(weight, method, torch.eye(320) if method == "aware_svd" else None)
    assert relative_error(weight, along, 256) < 1e-5


def test_energies_with_a_covariance_are_of_the_outputs() -> None:
    weight, covariance = matrix("wide"), skewed(30)
    along = directions(weight, "aware_svd", covariance)
    energy = energies(weight, along, covariance)
    outer, inner = along.factors(weight, 4)
    rest = (weight - outer @ inner).double()
    assert float(energy[4:].sum()) == pytest.approx(float((rest @ covariance.double() * rest).sum()), rel=1e-3)
