"""Jacobi's eigenvectors against LAPACK's."""

import pytest
import torch

from numina.identify.jacobi import symmetric_eigen


def gram(size: int, rank: int, batch: tuple[int, ...] = (3, 2)) -> torch.Tensor:
    columns = torch.randn(*batch, rank, size, dtype=torch.float64)
    return columns.transpose(-1, -2) @ columns


def assert_solves(matrices: torch.Tensor, accuracy: float = 1e-13) -> None:
    values, vectors = symmetric_eigen(matrices)
    scale = matrices.flatten(-2).norm(dim=-1).max().clamp_min(1e-300)
    expected, _ = torch.linalg.eigh(matrices)
    torch.testing.assert_close(values / scale, expected / scale, rtol=0, atol=1e-13)
    identity = torch.eye(matrices.shape[-1], dtype=matrices.dtype).expand_as(matrices)
    torch.testing.assert_close(vectors.mT @ vectors, identity, rtol=0, atol=1e-12)
    again = (vectors * values[..., None, :]) @ vectors.mT
    torch.testing.assert_close(again / scale, matrices / scale, rtol=0, atol=accuracy)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 16, 17, 32])
def test_random_matrices_are_solved(size: int):
    torch.manual_seed(size)
    assert_solves(gram(size, size))
    symmetric = torch.randn(4, size, size, dtype=torch.float64)
    assert_solves(symmetric + symmetric.mT)


@pytest.mark.parametrize("rank", [1, 3, 15])
def test_matrices_of_low_rank_are_solved(rank: int):
    torch.manual_seed(rank)
    assert_solves(gram(16, rank))


@pytest.mark.parametrize(
    ("values", "accuracy"),
    [
        # Convergence is linear only where half of all eigenvalues are one.
        ([1.0] * 8 + [2.0] * 8, 1e-8),
        ([1.0] * 2 + [2.0] * 14, 1e-13),
        ([10.0**-power for power in range(16)], 1e-13),
    ],
    ids=["two of eight", "two and fourteen", "far apart"],
)
def test_equal_and_far_apart_eigenvalues_are_solved(values: list[float], accuracy: float):
    torch.manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64))
    matrices = (basis * torch.tensor(values, dtype=torch.float64)) @ basis.mT
    assert_solves((matrices + matrices.mT) / 2, accuracy)


def test_nought_and_diagonal_matrices_stay():
    assert_solves(torch.zeros(2, 6, 6, dtype=torch.float64))
    assert_solves(torch.diag(torch.tensor([3.0, -1.0, 2.0, 0.0], dtype=torch.float64)))


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"matrices must be \[..., C, C\], got \(2, 3\)"):
        symmetric_eigen(torch.zeros(2, 3))
