"""A layout from the predicted clean latent ``x0 = x - sigma * v``: parts that are not scenery."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from numina.identify.parts import (
    absorb_small,
    linked_parts,
    neighbour_pairs,
    part_means,
    split_at_valleys,
    typical_area,
)
from numina.identify.relief import ReliefSpec, relief_of, smooth_relief
from numina.layout import Layout
from numina.video import VideoGrid
from numina_kernels import ShapeError

Array = NDArray[np.float64]


# Half of the rounds find the scenery, the other half forget what is not scenery.
_ROUNDS = 12
# Rows or columns, whichever are fewer, of the sample of a frame that the scenery is fitted to.
_SAMPLE_SIDE = 24


@dataclass(frozen=True)
class LatentRegions:
    """Settings of `latent_layout`; sizes are relative to the frame or to the parts found.

    Attributes:
        smoothing: Deviation of the Gaussian over the latent, as a share of its short side.
        scenery_order: Degree of the polynomial surface that each frame's scenery is taken for.
        distance: How the distance to the scenery is thresholded.
        focus: How each noun's focus is smoothed, and from where on it stands out.
        valley: How deep the valley between two peaks of the distance must be to part them, as a
            share of the lower peak's height over the threshold; above 1 never splits.
        valley_noise: The same in deviations of the scenery; the deeper of the two counts.
        smallest: Area that a part needs, as a share of the typical area.
        common_unit: Measure the focus of all nouns in the unit of the most prominent one. In units
            of its own, a noun that is nowhere would have as much say as the one whose instances
            it vaguely attends to.
        attended: Mean focus that a part needs to be given to a noun; 0 is the focus of the
            ground, 1 the mean where the noun stands out.
        cover: A part gets the patches of which it covers more than this share.
    """

    smoothing: float = 0.02
    scenery_order: int = 3
    distance: ReliefSpec = ReliefSpec(level=0.6, floor=2.7, contrast=3.6)
    focus: ReliefSpec = ReliefSpec(contrast=0.0)
    valley: float = 0.3
    valley_noise: float = 1.0
    smallest: float = 0.35
    common_unit: bool = True
    attended: float = 0.3
    cover: float = 0.5

    def __post_init__(self) -> None:
        for name in ("smoothing", "scenery_order", "valley", "valley_noise"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("smallest", "cover"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")


def latent_layout(
    clean: NDArray[np.floating],
    focus: NDArray[np.floating],
    grid: VideoGrid,
    spec: LatentRegions | None = None,
    expected: Layout | None = None,
) -> Layout:
    """Parts of the predicted clean latent, each given to the noun that attends to it.

    Args:
        clean: Predicted clean latent, ``[C, F, y, x]``; ``y`` and ``x`` are multiples of the
            grid's rows and columns.
        focus: Where each noun attends, ``[G, F, Y, X]``, in any unit and with any offset.
        grid: The video's patches.
        spec: Settings of the rule.
        expected: Where instances are known to be: guided to, or seen before. What is found there
            is their noun's, wherever the noun attends by now.

    Returns:
        One label per part and frame; every part that a noun attends to has at least one patch.

    Raises:
        ShapeError: If the latent or the focus are not those of ``grid``.
    """
    spec = spec or LatentRegions()
    patch = _patch_size(clean, focus, grid)
    sigma = spec.smoothing * min(clean.shape[2:])
    smooth: Array = ndimage.gaussian_filter(
        clean.astype(np.float64), (0, 0, sigma, sigma), mode="nearest"
    )
    pairs = neighbour_pairs(smooth.shape[1:], diagonal=False)
    parts = _foreground_parts(smooth, pairs, spec)
    share = _attention_share(focus, spec)
    if expected is not None:
        share = _with_expected(share, expected)
    relative = _upsampled(share, patch)

    # Neighbours of different nouns may touch: cut each part where the best noun changes, find the
    # owner of every piece, and join what turns out to be one noun's.
    pieces = _pieces(parts, relative.argmax(axis=0), pairs, spec)
    owners = np.append(-1, _owners(pieces, relative, spec))[pieces]  # [F, y, x]
    alike = _alike(parts, pairs) & _alike(owners, pairs)
    whole = linked_parts(owners >= 0, pairs[alike])
    nouns = owners.ravel()[np.unique(whole, return_index=True)[1]]
    labels = to_patches(whole, patch, spec.cover)
    return Layout(labels.astype(np.int16), tuple(int(noun) for noun in nouns if noun >= 0))


def scenery_residual(clean: Array, order: int) -> Array:
    """What a smooth scenery does not explain, in units of the scenery's own scatter.

    Each frame's scenery is a polynomial surface of degree ``order`` per channel. The fit is
    re-weighted: first least absolute distance, which has one minimum, then weights that fall to
    nothing for what lies far off. The rest is whitened by its scatter over the scenery.

    Args:
        clean: ``[C, F, y, x]``.
        order: Degree of the surface; 0 is a constant.

    Returns:
        ``[C, F, y, x]``; every direction of ``C`` has a mean square of about 1 on scenery.
    """
    channels, frames, rows, columns = clean.shape
    # A surface of low degree is settled by a sample of the frame.
    stride = max(1, min(rows, columns) // _SAMPLE_SIDE)
    sample = clean[:, :, ::stride, ::stride]
    basis = _polynomials(rows, columns, order)  # [P, y, x]
    sampled_basis = basis[:, ::stride, ::stride].reshape(len(basis), -1)
    values = sample.reshape(channels, frames, -1).transpose(1, 2, 0)  # [F, n, C]
    residual = values - np.median(values, axis=1, keepdims=True)
    # What rounding leaves of a scenery without any scatter must not pass for one.
    floor = 1e-3 * _root_mean_square(residual) + 1e-6 * _root_mean_square(values) + 1e-30
    whitening = np.eye(channels)
    for round_ in range(_ROUNDS):
        length = np.linalg.norm(residual @ whitening, axis=-1)
        scale = np.median(length) + floor
        if round_ < _ROUNDS // 2:
            weight = 1.0 / np.maximum(length, 0.1 * scale)
        else:
            weight = 1.0 / (1.0 + (length / (1.5 * scale)) ** 2) ** 2
        surface = _weighted_fit(values, sampled_basis, weight)  # [F, P, C]
        residual = values - sampled_basis.T @ surface
        if round_ >= _ROUNDS // 2 - 1:
            near = weight * (length < 2.0 * scale)
            flat = residual.reshape(-1, channels)
            scatter = (near.reshape(-1, 1) * flat).T @ flat / near.sum()
            spread, axes = np.linalg.eigh(scatter + floor**2 * np.eye(channels))
            whitening = axes / np.sqrt(np.maximum(spread, 0.01 * spread[-1]))
    everywhere = clean.reshape(channels, frames, -1).transpose(1, 2, 0)
    residual = (everywhere - basis.reshape(len(basis), -1).T @ surface) @ whitening
    return residual.transpose(2, 0, 1).reshape(clean.shape)


def to_patches(
    parts: NDArray[np.integer], patch: tuple[int, int], cover: float
) -> NDArray[np.integer]:
    """Bring parts of the latent down to patches; none is lost and no two become one.

    A patch goes to the part that covers most of it, if that is more than a share ``cover``. A part
    without a patch gets the one it covers most among those that leave every other part a patch.

    Args:
        parts: ``[F, y, x]``, 0 for none.
        patch: Rows and columns of latents in a patch.
        cover: Share of the patch, 0..1.

    Returns:
        ``[F, Y, X]``, same numbers as ``parts``.
    """
    frames, rows, columns = parts.shape
    cells = parts.reshape(frames, rows // patch[0], patch[0], columns // patch[1], patch[1])
    cells = cells.transpose(0, 1, 3, 2, 4).reshape(
        frames, rows // patch[0], columns // patch[1], -1
    )
    covered = (cells[..., :, None] == cells[..., None, :]).sum(axis=-1) * (cells > 0)
    most = covered.argmax(axis=-1)[..., None]
    labels = np.take_along_axis(cells, most, -1)[..., 0]
    labels = np.where(
        np.take_along_axis(covered, most, -1)[..., 0] > cover * cells.shape[-1], labels, 0
    )
    for part in np.setdiff1d(parts[parts > 0], labels):
        share = (cells == part).sum(axis=-1)
        for place in np.argsort(-share, axis=None, kind="stable")[: np.count_nonzero(share)]:
            holder = labels.flat[place]
            if holder == 0 or (labels == holder).sum() > 1:
                labels.flat[place] = part
                break
    return labels


def _attention_share(focus: NDArray[np.floating], spec: LatentRegions) -> Array:
    """Focus over the ground of each noun, in its unit, ``[G, F, Y, X]``."""
    reliefs = [smooth_relief(one, spec.focus) for one in focus.astype(np.float64)]
    if not spec.common_unit:
        return np.stack([relief.over_ground for relief in reliefs])
    most = max(relief.prominence for relief in reliefs)
    if most == 0:
        return np.zeros(focus.shape)
    return np.stack([relief.over_ground * (relief.prominence / most) for relief in reliefs])


def _with_expected(share: Array, expected: Layout) -> Array:
    """Let each noun stand out where its instances are expected, and no other one there."""
    known = expected.labels > 0
    owner = np.append(-1, expected.nouns)[expected.labels]
    own = owner == np.arange(len(share))[:, None, None, None]
    return np.where(known, np.where(own, np.maximum(share, 1.0), np.minimum(share, 0.0)), share)


def _patch_size(
    clean: NDArray[np.floating], focus: NDArray[np.floating], grid: VideoGrid
) -> tuple[int, int]:
    if focus.ndim != 4 or focus.shape[1:] != grid.shape or len(focus) == 0:
        raise ShapeError(
            f"focus must be [G, {grid.frames}, {grid.rows}, {grid.columns}] with at least one "
            f"noun, got {focus.shape}"
        )
    if (
        clean.ndim != 4
        or clean.shape[1] != grid.frames
        or clean.shape[2] % grid.rows
        or clean.shape[3] % grid.columns
        or min(clean.shape) == 0
    ):
        raise ShapeError(
            f"clean must be [C, {grid.frames}, y, x] with y and x multiples of {grid.rows} and "
            f"{grid.columns}, got {clean.shape}"
        )
    return clean.shape[2] // grid.rows, clean.shape[3] // grid.columns


def _root_mean_square(values: Array) -> float:
    return math.sqrt(float(np.mean(values**2)))


def _polynomials(rows: int, columns: int, order: int) -> Array:
    """Products of Legendre polynomials of the row and the column up to a degree, ``[P, y, x]``."""
    down, across = np.linspace(-1, 1, rows), np.linspace(-1, 1, columns)
    legendre = [np.polynomial.Legendre.basis(degree) for degree in range(order + 1)]
    return np.stack(
        [
            np.outer(legendre[i](down), legendre[j](across))
            for i in range(order + 1)
            for j in range(order + 1 - i)
        ]
    )


def _weighted_fit(values: Array, basis: Array, weight: Array) -> Array:
    """Weighted least squares of every frame and channel at once, ``[F, P, C]``."""
    weighted = weight[:, None] * basis  # [F, P, n]
    normal = weighted @ basis.T
    normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(len(basis))
    return np.asarray(np.linalg.solve(normal, weighted @ values))


def _foreground_parts(
    smooth: Array, pairs: NDArray[np.int64], spec: LatentRegions
) -> NDArray[np.int32]:
    residual = scenery_residual(smooth, spec.scenery_order)
    relief = relief_of(np.linalg.norm(residual, axis=0), spec.distance)
    parts = linked_parts(relief.height > 0, pairs)
    least = spec.valley_noise * relief.noise
    parts = split_at_valleys(parts, relief.height, pairs, spec.valley, least)
    return absorb_small(parts, pairs, spec.smallest * typical_area(parts))


def _pieces(
    parts: NDArray[np.int32],
    nouns: NDArray[np.int64],
    pairs: NDArray[np.int64],
    spec: LatentRegions,
) -> NDArray[np.int32]:
    within = _alike(parts, pairs)
    pieces = linked_parts(parts > 0, pairs[within & _alike(nouns, pairs)])
    return absorb_small(pieces, pairs[within], spec.smallest * typical_area(parts))


def _alike(labels: NDArray[np.integer], pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    one, other = labels.ravel()[pairs].T
    return np.asarray(one == other)


def _upsampled(maps: Array, patch: tuple[int, int]) -> Array:
    return maps.repeat(patch[0], axis=-2).repeat(patch[1], axis=-1)


def _owners(pieces: NDArray[np.int32], relative: Array, spec: LatentRegions) -> NDArray[np.int64]:
    """Noun of each piece, -1 for pieces that no noun attends to."""
    attended = part_means(pieces, relative)  # [G, P]
    if attended.shape[1] == 0:
        return np.zeros(0, np.int64)
    owners = attended.argmax(axis=0)
    return np.where(attended.max(axis=0) >= spec.attended, owners, -1)
