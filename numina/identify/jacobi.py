"""Eigenvectors of many small symmetric matrices without waiting for the device."""

import torch
from torch import Tensor

# Up to 32 columns in double precision are exact to rounding after eight, and to 1e-8 where half of
# all eigenvalues are equal, which slows Jacobi's method most.
_SWEEPS = 9


def symmetric_eigen(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors, as `torch.linalg.eigh` gives them.

    That function asks the device whether it converged, and so makes the host wait. Jacobi's
    rotations need no such question: a fixed number of sweeps is enough for small matrices. In
    each round all columns are paired (Brent and Luk 1985), and every pair ``(p, q)`` is rotated
    until ``A_pq = 0``.

    Args:
        matrices: ``[..., C, C]``, symmetric and floating point.

    Returns:
        Rising eigenvalues ``[..., C]`` and orthonormal eigenvectors ``[..., C, C]`` in columns.

    Raises:
        ValueError: If the matrices are not square.
    """
    size = matrices.shape[-1]
    if matrices.ndim < 2 or matrices.shape[-2] != size:
        raise ValueError(f"matrices must be [..., C, C], got {tuple(matrices.shape)}")
    odd = size % 2
    if odd:
        matrices = _bordered(matrices)
    order = _next_pairs(matrices.shape[-1], matrices.device)
    vectors = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    vectors = vectors.expand(matrices.shape).contiguous()
    for _ in range(_SWEEPS * (matrices.shape[-1] - 1)):
        cosine, sine = _rotation(matrices)
        matrices = _rotated(matrices, cosine, sine).transpose(-1, -2)
        matrices = _rotated(matrices, cosine, sine)[..., order, :][..., order]
        vectors = _rotated(vectors, cosine, sine)[..., order]
    values, rising = matrices.diagonal(dim1=-2, dim2=-1).sort(dim=-1)
    vectors = vectors.gather(-1, rising[..., None, :].expand_as(vectors))
    return values[..., odd:], vectors[..., : vectors.shape[-2] - odd, odd:]


def _bordered(matrices: Tensor) -> Tensor:
    """One more row and column, whose own eigenvalue is below all others."""
    below = -1 - matrices.square().sum(dim=(-2, -1)).sqrt()
    padded = torch.nn.functional.pad(matrices, (0, 1, 0, 1))
    padded[..., -1, -1] = below
    return padded


def _next_pairs(size: int, device: torch.device) -> Tensor:
    """Where each place of the next round comes from: column 0 stays, the others go round.

    Places ``i`` and ``i + size / 2`` are a pair.
    """
    half = size // 2
    places = torch.arange(size, device=device)
    top, bottom = places[:half], places[half:]
    if half == 1:
        return places
    return torch.cat([top[:1], bottom[:1], top[1:-1], bottom[1:], top[-1:]])


def _rotation(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``[..., 1, C / 2]`` that bring every pair's ``A_pq`` to nought."""
    half = matrices.shape[-1] // 2
    diagonal = matrices.diagonal(dim1=-2, dim2=-1)
    first, second = diagonal[..., :half], diagonal[..., half:]
    across = matrices.diagonal(offset=half, dim1=-2, dim2=-1)
    # Half the cotangent of the angle's double; where nothing is left to rotate it is not finite.
    tau = (second - first) / (2 * across)
    sign = torch.where(tau < 0, -1.0, 1.0).to(tau.dtype)
    tangent = sign / (tau.abs() + (1 + tau.square()).sqrt())
    tangent = torch.where(across == 0, 0.0, tangent)
    cosine = (1 + tangent.square()).rsqrt()
    return cosine[..., None, :], (tangent * cosine)[..., None, :]


def _rotated(columns: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = columns.chunk(2, dim=-1)
    return torch.cat([cosine * first - sine * second, sine * first + cosine * second], dim=-1)
