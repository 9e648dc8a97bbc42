"""Principal components of every frame's self-attention map, without ever storing a map."""

from dataclasses import dataclass

import torch
from torch import Tensor

from numina.identify.jacobi import symmetric_eigen
from numina.video import VideoGrid
from numina_kernels import AttentionMap, ShapeError

# Sketch-sized tensors alive at once while a block of heads is worked on.
WORKING_COPIES = 4


@dataclass(frozen=True)
class SketchSpec:
    """Settings of the randomised subspace iteration.

    Attributes:
        columns: Width of the sketch. Eight columns miss components of positional maps.
        rounds: Products with the map; all but the first follow one with the transposed map.
        seed: Seed of the random start, the same for every head, frame and call.
        memory_mib: Sketch memory that may be held at once; decides how many heads go together.
    """

    columns: int = 16
    rounds: int = 3
    seed: int = 0
    memory_mib: float = 128.0

    def __post_init__(self) -> None:
        if self.columns < 3:
            raise ValueError(f"columns must be at least 3, got {self.columns}")
        if self.rounds < 1:
            raise ValueError(f"rounds must be at least 1, got {self.rounds}")
        if self.memory_mib <= 0:
            raise ValueError(f"memory_mib must be positive, got {self.memory_mib}")


def frame_features(
    query: Tensor, key: Tensor, grid: VideoGrid, spec: SketchSpec | None = None
) -> Tensor:
    """First three principal components of each head's attention within each frame.

    With ``A = softmax(Q_f K_f^T / sqrt(D))`` over the keys of frame ``f`` alone and ``A_c`` the
    map less its column means, the features are ``U S`` of the three leading singular vectors
    (arXiv 2604.08546, section 4.1). ``A`` is known only by its products: subspace iteration
    ``A_c (A_c^T A_c)^(rounds - 1) Omega`` with orthonormal columns in between. Subtracting the
    column means of a product centres the map, and as the basis then sums to nought,
    ``A_c^T Q = A^T Q``. Signs follow `fixed_signs`.

    Args:
        query: ``[1, S, H, D]`` after normalisation and rotary embedding, ``S = F * N``.
        key: Same shape.
        grid: The video's patches.
        spec: Settings of the iteration.

    Returns:
        ``[F, H, N, 3]`` float32 on the device of ``query``, by falling variance; zeros where a
        frame has fewer than three components.

    Raises:
        ShapeError: If query and key are not one video of ``grid``.
    """
    spec = spec or SketchSpec()
    for name, tensor in (("query", query), ("key", key)):
        if tensor.ndim != 4 or tensor.shape[:2] != (1, grid.tokens):
            raise ShapeError(
                f"{name} must be [1, {grid.tokens}, H, D] for {grid}, got {tuple(tensor.shape)}"
            )
    frames_query, frames_key = (
        tensor[0].unflatten(0, (grid.frames, grid.patches)) for tensor in (query, key)
    )  # [F, N, H, D]
    generator = torch.Generator().manual_seed(spec.seed)
    start = torch.randn(grid.patches, spec.columns, generator=generator)
    # Pageable memory is staged before the call returns, so nobody has to wait for the device.
    start = start.to(query.device, non_blocking=True)
    heads = heads_at_once(grid, spec)
    features = [
        _components(
            AttentionMap(some_query, some_key),
            start[None, :, None].expand(grid.frames, -1, some_query.shape[2], -1),
            spec.rounds,
        )
        for some_query, some_key in zip(
            frames_query.split(heads, dim=2), frames_key.split(heads, dim=2), strict=True
        )
    ]
    return torch.cat(features, dim=1)


def fixed_signs(components: Tensor) -> Tensor:
    """Flip columns so that their third moment is positive.

    Singular vectors have no sign of their own. With this rule few, strong patches are the bright
    ones, whatever the solver returned.

    Args:
        components: Columns of zero mean, ``[..., N, C]``.

    Returns:
        The same columns, some of them negated.
    """
    skew = (components.double() ** 3).sum(dim=-2, keepdim=True)
    return torch.where(skew < 0, -components, components)


def heads_at_once(grid: VideoGrid, spec: SketchSpec) -> int:
    """How many heads the memory of a sketch is enough for, at least one."""
    bytes_per_head = 4 * grid.tokens * spec.columns * WORKING_COPIES
    return max(1, int(spec.memory_mib * 2**20 / bytes_per_head))


def _components(attention: AttentionMap, start: Tensor, rounds: int) -> Tensor:
    image = _centred(attention.apply(start))  # [F, N, H, C]
    for _ in range(rounds - 1):
        basis = _orthonormal(attention.apply_transposed(_orthonormal(image)))
        image = _centred(attention.apply(basis))
    # The basis is orthonormal, so that image = U S V^T holds the leading singular values of the
    # map, and U S = image V needs the small Gram matrix only.
    _, vectors = _gram_eigen(image)
    leading = vectors[..., -3:].flip(-1)
    return fixed_signs(_times(image, leading).transpose(1, 2).contiguous())


def _centred(columns: Tensor) -> Tensor:
    return columns - columns.mean(dim=1, keepdim=True)


def _orthonormal(columns: Tensor) -> Tensor:
    """Orthonormal columns with the same span, by Gram matrices: one launch for all heads.

    Directions below the accuracy of a float32 Gram matrix become zero columns. The second sweep
    mends what rounding left of the first.
    """
    for _ in range(2):
        values, vectors = _gram_eigen(columns)
        kept = values > 1e-6 * values[..., -1:]
        scales = torch.where(kept, values.clamp(min=torch.finfo(values.dtype).tiny).rsqrt(), 0.0)
        columns = _times(columns, vectors * scales[..., None, :])
    return columns


def _gram_eigen(columns: Tensor) -> tuple[Tensor, Tensor]:
    """Rising eigenvalues ``[F, H, C]`` and eigenvectors ``[F, H, C, C]`` of the Gram matrix."""
    gram = torch.einsum("fnhc,fnhd->fhcd", columns, columns)
    # On a CPU there is no device to wait for, and LAPACK is faster.
    solve = torch.linalg.eigh if gram.device.type == "cpu" else symmetric_eigen
    values, vectors = solve(gram.double())
    return values.float(), vectors.float()


def _times(columns: Tensor, matrix: Tensor) -> Tensor:
    return torch.einsum("fnhc,fhcd->fnhd", columns, matrix)
