"""Which attention heads to believe: the one that separates instances, those that find a noun."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from numina.video import VideoGrid
from numina_kernels import ShapeError

# Luminance weights that turn three components into one gray picture.
_GRAY = (0.299, 0.587, 0.114)
# Waves that position is granted. Instances need many waves: they keep a third of their variance
# and more; ramps, plane waves and products of low waves keep less than a seventh.
_WAVES = 8


@dataclass(frozen=True)
class HeadWeights:
    """How a self-attention head is scored, ``S = S1 + S2 + gamma * S3`` (Eq. 2).

    ``HeadWeights.PAPER`` is the published formula. Its S2 is a variance of block sums: it is most
    of the score, grows with the resolution, and heads that attend by position win it.
    ``HeadWeights.ROBUST`` (the default) takes the spread of block means instead, of a picture of
    a fixed number of cells, and multiplies by how little of the picture position or noise explain:
    ``S = (S1 + S2 + gamma * S3) * local^positional_penalty * coherent^noise_penalty``.

    Attributes:
        gamma: Weight of the edges, S3.
        blocks: Rows and columns of the block grid of S2.
        block_sums: S2 is the variance of block sums (paper) instead of the spread of block means.
        working_side: The picture is averaged down to at most so many rows and columns first, so
            that the score does not depend on the resolution; None scores every patch.
        positional_penalty: Power of ``local``, the share of the picture's variance that neither
            the rows, nor the columns, nor the eight strongest waves explain; 0 for no penalty.
        noise_penalty: Power of ``coherent``, the correlation of neighbouring cells.
    """

    gamma: float = 0.1
    blocks: int = 8
    block_sums: bool = False
    working_side: int | None = 16
    positional_penalty: float = 2.0
    noise_penalty: float = 1.0

    PAPER: ClassVar["HeadWeights"]
    ROBUST: ClassVar["HeadWeights"]

    def __post_init__(self) -> None:
        if min(self.gamma, self.positional_penalty, self.noise_penalty) < 0:
            raise ValueError(f"gamma and the penalties must not be negative, got {self}")
        if self.blocks < 1:
            raise ValueError(f"blocks must be at least 1, got {self.blocks}")
        if self.working_side is not None and self.working_side < self.blocks:
            raise ValueError(
                f"working_side must be None or at least blocks = {self.blocks}, "
                f"got {self.working_side}"
            )


HeadWeights.ROBUST = HeadWeights()
HeadWeights.PAPER = HeadWeights(
    block_sums=True, working_side=None, positional_penalty=0.0, noise_penalty=0.0
)


def score_heads(
    features: Tensor, grid: VideoGrid, weights: HeadWeights = HeadWeights.ROBUST
) -> Tensor:
    """Score how clearly each head's features show separate instances (arXiv 2604.08546, Eq. 2).

    Each component is stretched to 0..1 and they are mixed to ``g = .299 C0 + .587 C1 + .114 C2``.
    S1 is the standard deviation of ``g``, S2 the spread over blocks, S3 the mean magnitude of its
    Sobel gradient (borders repeated). The best head of a frame has the highest score.

    Args:
        features: Principal components, ``[F, H, N, 3]``, see `identify.sketch.frame_features`.
        grid: The video's patches.
        weights: ``HeadWeights.ROBUST`` or ``HeadWeights.PAPER``, or a variation.

    Returns:
        ``[F, H]`` in the dtype of ``features``, unitless; 0 for a head without any structure.

    Raises:
        ShapeError: If the features are not those of ``grid``.
    """
    expected = (grid.frames, grid.patches, 3)
    if features.ndim != 4 or (features.shape[0], *features.shape[2:]) != expected:
        raise ShapeError(
            f"features must be [{grid.frames}, H, {grid.patches}, 3], got {tuple(features.shape)}"
        )
    gray = _gray(features).unflatten(-1, (grid.rows, grid.columns))  # [F, H, Y, X]
    if weights.working_side is not None:
        side = weights.working_side
        gray = functional.adaptive_avg_pool2d(gray, (min(grid.rows, side), min(grid.columns, side)))
    contrast = gray.std(dim=(-2, -1), correction=0)
    score = contrast + _block_spread(gray, weights) + weights.gamma * _edges(gray)
    if weights.positional_penalty:
        score = score * _local_share(gray) ** weights.positional_penalty
    if weights.noise_penalty:
        score = score * _coherence(gray) ** weights.noise_penalty
    return score


def peak_heads(probs: Tensor) -> Tensor:
    """Head that attends most strongly to each noun anywhere, ``argmax_h max_p`` of the probability.

    Args:
        probs: Probability of the noun's tokens, ``[H, G, F, Y, X]``.

    Returns:
        Head index of each noun, ``[G]`` int64.
    """
    return probs.flatten(2).amax(dim=-1).argmax(dim=0)


def consensus_focus(probs: Tensor, top: int | None = None) -> Tensor:
    """Where all maps together see each noun, without labels and without choosing heads.

    Each map is centred over the video and divided by the square root of its deviation, then they
    are averaged. That is halfway between two faulty ways: with equal say (z-scores) the many heads
    that attend by position outvote the few that find the noun; with raw probabilities a single
    loud head takes over. Choosing heads costs frames: different heads see the noun in the first
    latent frame than in the others.

    Args:
        probs: Probability of each noun's tokens in ``M`` heads of any layers, ``[M, G, F, Y, X]``.
        top: Average only so many maps per noun, by `map_agreement`; None for all.

    Returns:
        ``[G, F, Y, X]``, 0 on average, in square roots of a probability; zeros where all maps are
        flat.
    """
    if top is not None and top < 1:
        raise ValueError(f"top must be None or at least 1, got {top}")
    maps = _tempered(probs)  # [M, G, F*Y*X]
    if top is not None and top < len(maps):
        best = map_agreement(probs).topk(top, dim=0).indices  # [top, G]
        maps = maps.gather(0, best[..., None].expand(-1, -1, maps.shape[-1]))
    return maps.mean(dim=0).unflatten(-1, probs.shape[2:])


def map_agreement(probs: Tensor) -> Tensor:
    """Share of every map in the consensus of all, ``[M, G]``; adds up to 1 for each noun.

    A map that contradicts the consensus has a negative share. 0 where all maps are flat.

    Args:
        probs: As for `consensus_focus`.
    """
    maps = _tempered(probs)
    consensus = maps.sum(dim=0)
    size = (consensus**2).sum(dim=-1)  # [G]
    shares = (maps * consensus).sum(dim=-1) / torch.where(size > 0, size, 1.0)
    return torch.where(size > 0, shares, 0.0)


def bimodality(maps: Tensor) -> Tensor:
    """Otsu's between-class variance ratio of each map: how well one threshold explains it.

    Args:
        maps: ``[..., F, Y, X]``; the threshold is sought over the last three dimensions.

    Returns:
        ``[...]`` in 0..1; 1 for a map of two values, 2/pi for Gaussian noise, 0 for a flat one.
    """
    values = maps.flatten(-3).double().sort(dim=-1).values
    varied = values[..., -1] > values[..., 0]
    number = values.shape[-1]
    below = torch.arange(1, number, device=maps.device, dtype=values.dtype)
    values = values - values.mean(dim=-1, keepdim=True)
    between = values.cumsum(dim=-1)[..., :-1] ** 2 / (below * (number - below) / number)
    total = (values**2).sum(dim=-1)
    ratio = between.amax(dim=-1) / torch.where(varied, total, 1.0)
    return torch.where(varied, ratio, 0.0).to(maps.dtype)


def _gray(features: Tensor) -> Tensor:
    low = features.amin(dim=2, keepdim=True)
    spread = features.amax(dim=2, keepdim=True) - low
    stretched = (features - low) / torch.where(spread > 0, spread, 1.0)
    # A list made a tensor would be copied to the device while the host waits.
    return stretched @ torch.stack([stretched.new_full((), weight) for weight in _GRAY])


def _block_spread(gray: Tensor, weights: HeadWeights) -> Tensor:
    rows, columns = (min(weights.blocks, size) for size in gray.shape[-2:])
    if not weights.block_sums:
        means = functional.adaptive_avg_pool2d(gray, (rows, columns))
        return means.std(dim=(-2, -1), correction=0)
    # Blocks of equal size, as sums demand: what is over at the right and lower border is left out.
    size = (gray.shape[-2] // rows, gray.shape[-1] // columns)
    sums = functional.avg_pool2d(gray, size)[..., :rows, :columns] * (size[0] * size[1])
    return sums.var(dim=(-2, -1), correction=0)


def _edges(gray: Tensor) -> Tensor:
    """Mean magnitude of the Sobel gradient over all patches."""
    padded = functional.pad(gray, (1, 1, 1, 1), mode="replicate")
    smooth_rows = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    smooth_columns = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    along_x = smooth_rows[..., 2:] - smooth_rows[..., :-2]
    along_y = smooth_columns[..., 2:, :] - smooth_columns[..., :-2, :]
    return torch.hypot(along_x, along_y).mean(dim=(-2, -1))


def _local_share(gray: Tensor) -> Tensor:
    """Share of the variance beyond row effects, column effects and the strongest waves, 0..1."""
    rows, columns = gray.shape[-2:]
    energy = (_cosines(rows, gray) @ gray @ _cosines(columns, gray).mT) ** 2
    energy[..., 0, 0] = 0.0
    total = energy.sum(dim=(-2, -1))
    # Waves along one axis alone are functions of the row or of the column.
    mixed = energy[..., 1:, 1:].flatten(-2).sort(dim=-1).values
    rest = mixed[..., : max(0, mixed.shape[-1] - _WAVES)].sum(dim=-1)
    return rest / total.clamp(min=torch.finfo(gray.dtype).tiny)


def _cosines(size: int, like: Tensor) -> Tensor:
    """Orthonormal cosine transform, ``[size, size]``; row ``k`` has ``k`` half waves."""
    place = torch.arange(size, device=like.device, dtype=like.dtype)
    waves = torch.cos(math.pi / size * (place + 0.5) * place[:, None]) * (2 / size) ** 0.5
    waves[0] *= 0.5**0.5
    return waves


def _coherence(gray: Tensor) -> Tensor:
    """Correlation of neighbouring cells, 0..1; noise and patterns that alternate have none."""
    rest = gray - gray.mean(dim=(-2, -1), keepdim=True)
    along_y = (rest[..., 1:, :] * rest[..., :-1, :]).sum(dim=(-2, -1))
    along_x = (rest[..., 1:] * rest[..., :-1]).sum(dim=(-2, -1))
    total = 2 * (rest**2).sum(dim=(-2, -1))
    return ((along_y + along_x) / total.clamp(min=torch.finfo(gray.dtype).tiny)).clamp(min=0.0)


def _tempered(probs: Tensor) -> Tensor:
    """Centred maps over the square root of their deviation, ``[M, G, F*Y*X]``; flat ones are 0."""
    maps = probs.flatten(2)
    # Not by the deviation: that of equal numbers is not exactly 0.
    varied = maps.amax(dim=-1, keepdim=True) > maps.amin(dim=-1, keepdim=True)
    centred = maps - maps.mean(dim=-1, keepdim=True)
    spread = centred.std(dim=-1, correction=0, keepdim=True)
    return torch.where(varied, centred / torch.where(varied, spread, 1.0).sqrt(), 0.0)
